//! The house rules that a machine can hold: which crate may depend on which, and which words belong to one room.
//!
//! The two tables are the ones in `docs/architecture.md`. A new edge is a change of the architecture: change the
//! table here and the picture there, and say why in `docs/decisions/`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Crate, what it may depend on, and what only its tests may depend on beside that.
///
/// A crate that has no line fails the test.
const EDGES: &[(&str, &[&str], &[&str])] = &[
    // Roots: they know nobody.
    ("domain", &[], &[]),
    ("sdk-runtime", &[], &["offline-model"]),
    ("apidoc", &[], &[]),
    ("trees", &[], &[]),
    ("offline-model", &[], &[]),
    ("migration", &[], &["testkit"]),
    // Adapters and bridges.
    ("monitoring", &["domain"], &["testkit"]),
    ("persistence", &["domain", "trees"], &["migration", "testkit"]),
    ("gateway", &["domain", "monitoring"], &["offline-model", "testkit"]),
    ("hooks", &["domain", "sdk-runtime", "monitoring"], &["testkit"]),
    ("mcp", &["domain", "sdk-runtime", "hooks"], &[]),
    ("permissions", &["domain", "sdk-runtime"], &["testkit"]),
    ("oidc", &["domain"], &["testkit"]),
    ("reports", &["domain"], &[]),
    // The conductor, its face, and the one that puts everything together.
    (
        "engine",
        &["domain", "sdk-runtime", "hooks", "mcp", "permissions", "monitoring", "trees"],
        &["testkit"],
    ),
    ("api", &["domain", "engine", "monitoring", "apidoc"], &["mcp", "reports", "sdk-runtime", "testkit"]),
    (
        "server",
        &[
            "api",
            "domain",
            "engine",
            "gateway",
            "hooks",
            "mcp",
            "migration",
            "monitoring",
            "oidc",
            "permissions",
            "persistence",
            "reports",
            "sdk-runtime",
        ],
        &["offline-model", "testkit"],
    ),
    // For tests and development only: nothing above may need these to run.
    ("testkit", &["domain", "sdk-runtime"], &[]),
    ("xtask", &[], &[]),
    ("bench-host", &["sdk-runtime"], &[]),
    (
        "bench",
        &[
            "bench-host",
            "domain",
            "hooks",
            "migration",
            "monitoring",
            "permissions",
            "persistence",
            "sdk-runtime",
        ],
        &[],
    ),
];

/// Tools for people who work on the repository: they start processes and speak every language.
const TOOLS: &[&str] = &["xtask", "bench", "bench-host"];

/// Words, and the crates that may say them.
const WORDS: &[(&[&str], &[&str])] = &[
    (&["sea_orm", "object_store"], &["persistence", "migration"]),
    (&["sqlx::"], &["persistence", "testkit"]),
    (&["rusqlite::"], &["persistence"]),
    (&["actix_web", "actix_ws", "actix_cors", "actix_multipart", "paperclip"], &["api", "apidoc", "server"]),
    (&["validator::"], &["api", "apidoc"]),
    (&["hyper::", "hyper_util"], &["gateway", "offline-model"]),
    // What is exported goes to a collector over HTTP.
    (&["reqwest"], &["gateway", "hooks", "mcp", "monitoring", "oidc"]),
    (&["openidconnect"], &["oidc"]),
    (&["Command::new", "control_request", "stream-json"], &["sdk-runtime"]),
    // Settings are read in one place. An embedded runtime must know the environment its agents inherit where its host
    // asks for that (`EnvMode::Merge`).
    (&["std::env::", "env::var"], &["server", "offline-model", "sdk-runtime", "testkit"]),
    (&["opentelemetry", "prometheus"], &["monitoring"]),
    (&["cedar_policy", "brush_parser"], &["permissions"]),
    (&["lettre"], &["monitoring"]),
    (&["krilla", "parley", "plotters", "pulldown_cmark"], &["reports"]),
    (&["apalis_core"], &["engine"]),
    (&["minijinja"], &["engine", "reports"]),
    // Servers in this process, and handshakes with those of others.
    (&["rmcp::"], &["mcp", "sdk-runtime"]),
    (&["governor::"], &["api"]),
];

#[test]
fn crates_depend_only_along_the_table() {
    let mut wrong = vec![];
    for package in packages() {
        let Some((_, may, tests_may)) = EDGES.iter().find(|(name, _, _)| *name == package.name) else {
            wrong.push(format!("{} has no line in the table", package.name));
            continue;
        };
        for (dependency, is_dev) in &package.workspace_dependencies {
            let allowed = may.contains(&dependency.as_str())
                || *is_dev && (tests_may.contains(&dependency.as_str()) || *dependency == package.name);
            if !allowed {
                let kind = if *is_dev { "for its tests on" } else { "on" };
                wrong.push(format!("{} depends {kind} {dependency}", package.name));
            }
        }
    }
    assert!(wrong.is_empty(), "edges that are not in the table:\n{}", wrong.join("\n"));
}

#[test]
fn words_stay_in_their_rooms() {
    let mut wrong = vec![];
    for package in packages().into_iter().filter(|package| !TOOLS.contains(&package.name.as_str())) {
        for file in rust_files(&package.folder.join("src")) {
            let text = fs::read_to_string(&file).unwrap();
            // Test modules stand at the end of a file and may say what they like.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate() {
                if line.trim_start().starts_with("//") {
                    continue;
                }
                for (words, rooms) in WORDS {
                    let said = words.iter().find(|word| line.contains(*word));
                    if let Some(word) = said.filter(|_| !rooms.contains(&package.name.as_str())) {
                        wrong.push(format!(
                            "{}:{}: {word} belongs to {}",
                            file.display(),
                            number + 1,
                            rooms.join(", ")
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "words out of their rooms:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_holds_more_than_one_idea_could_need() {
    const LINES_MAX: usize = 500;
    let too_long: Vec<String> = packages()
        .iter()
        .flat_map(|package| rust_files(&package.folder.join("src")))
        .filter_map(|file| {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            (lines > LINES_MAX).then(|| format!("{} has {lines} lines", file.display()))
        })
        .collect();
    assert!(too_long.is_empty(), "split these:\n{}", too_long.join("\n"));
}

#[test]
fn every_file_says_its_idea_first() {
    let silent: Vec<PathBuf> = packages()
        .iter()
        .flat_map(|package| rust_files(&package.folder.join("src")))
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "these do not begin with //!: {silent:#?}");
}

struct Package {
    name: String,
    folder: PathBuf,
    /// Name, and whether it is for tests only.
    workspace_dependencies: BTreeMap<String, bool>,
}

fn packages() -> Vec<Package> {
    #[expect(clippy::disallowed_methods, reason = "cargo itself knows the graph best")]
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 5, "the workspace was not found");
    packages.iter().map(package).collect()
}

fn package(raw: &Value) -> Package {
    let mut workspace_dependencies = BTreeMap::new();
    for dependency in raw["dependencies"].as_array().unwrap().iter().filter(|one| one["path"].is_string()) {
        let is_dev = dependency["kind"] == "dev";
        let name = dependency["name"].as_str().unwrap().to_owned();
        let known = workspace_dependencies.entry(name).or_insert(is_dev);
        *known = *known && is_dev;
    }
    Package {
        name: raw["name"].as_str().unwrap().to_owned(),
        folder: Path::new(raw["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned(),
        workspace_dependencies,
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

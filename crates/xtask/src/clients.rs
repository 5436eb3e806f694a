//! `cargo xtask clients`: clients that are generated from the API document, compiled, and at work.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};

use crate::{
    cargo::Built,
    rehearsal::Rehearsal,
    settings::Settings,
    toolbox::{self, run},
};

/// TypeScript 7 has not the interface that openapi-typescript uses.
const NODE_PACKAGES: &[&str] =
    &["openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3", "@types/node@20.19.25"];
const PYTHON_PACKAGES: &[&str] = &["openapi-python-client==0.29.1", "mypy==2.4.1"];
/// What openapi-python-client calls the package, after the document's title.
const PYTHON_PACKAGE: &str = "steward_client";

/// Arguments of `clients`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Build the server as tests are built, so that nothing is built twice after them.
    #[arg(long)]
    after_tests: bool,
    /// Only generate and compile; start no server.
    #[arg(long)]
    no_session: bool,
}

/// Generates a client in each language into the target folder, compiles it with the programs of `clients/`, and has
/// each program drive one session from its login to its end.
pub(crate) fn clients(root: &Path, options: &Options) -> Result<ExitCode> {
    let settings = Settings::read(root);
    let output = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let output = root.join(output).join("clients");
    if output.exists() {
        fs::remove_dir_all(&output).with_context(|| format!("failed to remove {}", output.display()))?;
    }
    let mut sessions = vec![
        ("TypeScript", typescript(root, &settings, &output.join("typescript"))?),
        ("Python", python(root, &settings, &output.join("python"))?),
    ];
    println!("both clients compile: {}", output.display());
    if options.no_session {
        return Ok(ExitCode::SUCCESS);
    }
    let built =
        if options.after_tests { Built::AsForTests } else { Built::Packages(&["server", "offline-model"]) };
    let mut rehearsal = Rehearsal::start(root, &settings, built, &[])?;
    for (language, session) in &mut sessions {
        println!("a session in {language}");
        let status = rehearsal.run(session)?;
        ensure!(status.success(), "the session in {language} ended with {status}, see above");
    }
    rehearsal.stop()?;
    Ok(ExitCode::SUCCESS)
}

/// The program that is left to run.
fn typescript(root: &Path, settings: &Settings, folder: &Path) -> Result<Command> {
    let packages = toolbox::node(settings, "clients-node", NODE_PACKAGES)?.join("node_modules");
    let program = |name: &str| Command::new(packages.join(".bin").join(name));
    fs::create_dir_all(folder)?;
    symlink(&packages, folder.join("node_modules"))?;
    for file in ["session.ts", "tsconfig.json", "package.json"] {
        fs::copy(root.join("clients/typescript").join(file), folder.join(file))
            .with_context(|| format!("failed to copy {file}"))?;
    }
    // A field with a default may be left out of a request; without the option it would be demanded there.
    run(program("openapi-typescript")
        .arg(root.join("api-spec/openapi.json"))
        .arg("--output")
        .arg(folder.join("steward.d.ts"))
        .args(["--default-non-nullable", "false"]))?;
    run(program("tsc").arg("--project").arg(folder))?;
    let mut session = Command::new("node");
    session.arg(folder.join("built/session.js"));
    Ok(session)
}

/// The program that is left to run.
fn python(root: &Path, settings: &Settings, folder: &Path) -> Result<Command> {
    let programs = toolbox::python(settings, "clients-python", PYTHON_PACKAGES)?.join("bin");
    let session = folder.join("session.py");
    fs::create_dir_all(folder)?;
    fs::copy(root.join("clients/python/session.py"), &session).context("failed to copy session.py")?;
    // A warning is an operation or a type that it leaves out.
    run(Command::new(programs.join("openapi-python-client"))
        .args(["generate", "--fail-on-warning", "--meta", "none", "--path"])
        .arg(root.join("api-spec/openapi.json"))
        .arg("--config")
        .arg(root.join("clients/python/config.yml"))
        .arg("--output-path")
        .arg(folder.join(PYTHON_PACKAGE))
        .env("PATH", path_with(&programs, settings)?))?;
    // What is generated compiles, and is as its types say to whoever uses it; it is not strict itself.
    run(Command::new(programs.join("python"))
        .args(["-m", "compileall", "-q", PYTHON_PACKAGE])
        .current_dir(folder))?;
    run(Command::new(programs.join("mypy"))
        .args(["--strict", "--follow-imports=silent", "--no-incremental", "session.py"])
        .current_dir(folder))?;
    let mut command = Command::new(programs.join("python"));
    command.arg("session.py").current_dir(folder);
    Ok(command)
}

/// It formats what it generates with a program of its own environment.
fn path_with(programs: &Path, settings: &Settings) -> Result<std::ffi::OsString> {
    let others = settings.get("PATH").unwrap_or_default();
    let folders = [programs.to_owned()].into_iter().chain(std::env::split_paths(others));
    std::env::join_paths(folders).context("PATH cannot be put together again")
}

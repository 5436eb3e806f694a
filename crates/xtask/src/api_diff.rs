//! `cargo xtask api-diff`: whether clients of the API as it was can go on with it as it is.

mod compare;
mod schema;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

const DOCUMENT: &str = "api-spec/openapi.json";
/// What was broken on purpose, with the reason: one line of a list for each change, in the words of this tool.
const DECLARED: &str = "api-spec/breaking-changes.md";

/// Arguments of `api-diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What to compare with: a revision, or the file of a document. Left out, it is where this branch left the main one,
    /// or, on the main one, the last release.
    base: Option<String>,
}

/// Compares the committed document, which a test holds to the code, with the one of the base.
pub(crate) fn api_diff(root: &Path, options: &Options) -> Result<ExitCode> {
    let new = read(&root.join(DOCUMENT))?;
    let Some((base, old)) = base(root, options.base.as_deref())? else {
        println!("there is no document to compare with");
        return Ok(ExitCode::SUCCESS);
    };
    println!("comparing {DOCUMENT} with {base}");
    let declared =
        fs::read_to_string(root.join(DECLARED)).with_context(|| format!("failed to read {DECLARED}"))?;
    let (declared, undeclared): (Vec<_>, Vec<_>) =
        compare::breaking(&old, &new).into_iter().partition(|change| is_declared(change, &declared));
    for change in &declared {
        println!("breaks, as declared: {change}");
    }
    for change in &undeclared {
        println!("BREAKS: {change}");
    }
    if undeclared.is_empty() {
        println!("{} breaking changes, each declared", declared.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{} changes break clients that exist. Take them back, or declare them in {DECLARED}: a line of a list that has \
         the words above, and why",
        undeclared.len()
    );
    Ok(ExitCode::FAILURE)
}

fn is_declared(change: &str, declared: &str) -> bool {
    declared.lines().any(|line| line.trim_start().starts_with("- ") && line.contains(change))
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// What to compare with, and its name; `None` where there is no history.
fn base(root: &Path, given: Option<&str>) -> Result<Option<(String, Value)>> {
    if let Some(file) = given.map(PathBuf::from).filter(|file| file.is_file()) {
        return Ok(Some((file.display().to_string(), read(&file)?)));
    }
    let revision = match given {
        Some(revision) => match git(root, &["rev-parse", "--verify", &format!("{revision}^{{commit}}")])? {
            Some(revision) => revision,
            None => bail!("{revision} is neither a file nor a revision"),
        },
        None => match default_base(root)? {
            Some(revision) => revision,
            None => return Ok(None),
        },
    };
    let Some(text) = git(root, &["show", &format!("{revision}:{DOCUMENT}")])? else { return Ok(None) };
    let document =
        serde_json::from_str(&text).with_context(|| format!("{DOCUMENT} of {revision} is not JSON"))?;
    Ok(Some((revision, document)))
}

fn default_base(root: &Path) -> Result<Option<String>> {
    let head = git(root, &["rev-parse", "--verify", "HEAD"])?;
    for main in ["origin/HEAD", "origin/main", "main"] {
        let fork = git(root, &["merge-base", main, "HEAD"])?;
        if fork.is_some() && fork != head {
            return Ok(fork);
        }
    }
    match git(root, &["describe", "--tags", "--abbrev=0", "HEAD^"])? {
        Some(tag) => Ok(Some(tag)),
        None => git(root, &["rev-parse", "--verify", "HEAD^"]),
    }
}

/// What git says, or `None` if it has no such thing.
fn git(root: &Path, arguments: &[&str]) -> Result<Option<String>> {
    let output = Command::new("git")
        // The folder may belong to somebody else than who runs this, as in a container.
        .arg("-c")
        .arg(format!("safe.directory={}", root.display()))
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .context("failed to run git")?;
    let text = String::from_utf8(output.stdout).context("git says something that is not text")?;
    Ok(output.status.success().then(|| text.trim().to_owned()))
}

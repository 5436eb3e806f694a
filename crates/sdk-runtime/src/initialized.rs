//! What the agent says of itself when it shakes hands, and which versions will do.

use std::path::Path;

use semver::Version;
use serde_json::Value;

use crate::{error::Error, process};

/// Oldest CLI this crate was built against.
pub const CLI_VERSION_MIN: &str = "2.1.330";

/// The answer to `initialize`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Initialized {
    /// Version of the CLI.
    pub version: Version,
    /// Process id the agent gives for itself, else the one it was started under.
    pub pid: Option<u32>,
    /// Names of features; the set is open.
    pub capabilities: Vec<String>,
    /// The whole answer: commands, agents, models, account.
    pub raw: Value,
}

impl Initialized {
    pub(crate) fn read(raw: Value, pid: Option<u32>) -> Result<Self, Error> {
        let version = check_version(raw["claude_code_version"].as_str().unwrap_or("unknown"))?;
        let own_pid = raw["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let capabilities = raw["capabilities"].as_array().map(Vec::as_slice);
        Ok(Self {
            version,
            pid: own_pid.or(pid),
            capabilities: capabilities
                .unwrap_or_default()
                .iter()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
            raw,
        })
    }
}

/// Asks a CLI for its version and checks that it will do. Runs `--version`, within a bounded time.
/// When it is dropped, the CLI it started is killed.
pub async fn probe(cli: &Path) -> Result<Version, Error> {
    let printed = process::version_text(cli).await?;
    let first = printed.split_whitespace().next().unwrap_or_default();
    if Version::parse(first).is_err() {
        return Err(Error::VersionUnreadable { printed });
    }
    check_version(first)
}

fn check_version(found: &str) -> Result<Version, Error> {
    let needed = version_min();
    match Version::parse(found) {
        Ok(version) if version >= needed => Ok(version),
        Ok(_) | Err(_) => Err(Error::CliTooOld { found: found.to_owned(), needed }),
    }
}

fn version_min() -> Version {
    // The constant is checked by a test; zero would only accept more.
    Version::parse(CLI_VERSION_MIN).unwrap_or(Version::new(0, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_version_is_a_version() {
        assert_eq!(version_min(), Version::new(2, 1, 330));
    }

    #[test]
    fn an_older_or_unknown_cli_is_refused() {
        assert!(check_version("2.1.330").is_ok());
        assert!(check_version("2.2.0").is_ok());
        for found in ["2.1.329", "unknown", "2.1.330-beta.1"] {
            let error = check_version(found).unwrap_err();
            assert!(matches!(error, Error::CliTooOld { .. }), "{error}");
        }
    }
}

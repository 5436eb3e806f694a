//! Finds the `claude` CLI that agents are started with.

use std::{
    env::consts,
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The CLI this version is tested with, and which `cargo xtask run` installs.
pub const PINNED_VERSION: &str = include_str!("../../../.claude-cli-version").trim_ascii_end();

const PROGRAM: &str = "claude";

/// Where to look, taken from the surroundings of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchPlaces {
    /// `PATH`.
    pub path: Option<std::ffi::OsString>,
    /// The user's cache directory: `XDG_CACHE_HOME`, else `.cache` in `HOME`.
    pub cache: Option<PathBuf>,
}

/// There is no CLI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("find the claude CLI: {}", .0)]
pub struct CliNotFound(String);

impl SearchPlaces {
    /// The places of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Self { path: std::env::var_os("PATH"), cache }
    }

    /// The file to start: the one configured, else `claude` on `PATH`, else the cached install.
    ///
    /// A configured path is taken or refused, never replaced by another.
    pub fn find(&self, configured: Option<&Path>) -> Result<PathBuf, CliNotFound> {
        if let Some(path) = configured {
            return match is_executable(path) {
                true => Ok(path.to_owned()),
                false => Err(CliNotFound(format!(
                    "CLAUDE_CLI_PATH names {}, which is no executable file",
                    path.display()
                ))),
            };
        }
        let found = self.on_path().or_else(|| self.cached().filter(|path| is_executable(path)));
        found.ok_or_else(|| {
            CliNotFound(format!(
                "it is neither on PATH nor in the cache; run `cargo xtask run`, or \
                 `npm install -g @anthropic-ai/claude-code@{PINNED_VERSION}`, or set CLAUDE_CLI_PATH"
            ))
        })
    }

    fn on_path(&self) -> Option<PathBuf> {
        let path = self.path.as_deref().unwrap_or(OsStr::new(""));
        // A relative entry would depend on where the server was started, and an agent could write there.
        let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
        folders.map(|folder| folder.join(PROGRAM)).find(|path| is_executable(path))
    }

    fn cached(&self) -> Option<PathBuf> {
        let package = format!("claude-code-{}", platform());
        let install = self.cache.as_ref()?.join("steward").join(format!("claude-{PINNED_VERSION}"));
        Some(install.join("node_modules/@anthropic-ai").join(package).join(PROGRAM))
    }
}

/// The platform part of the CLI's package names.
fn platform() -> String {
    let system = match consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let processor = match consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let libc = if cfg!(target_env = "musl") { "-musl" } else { "" };
    format!("{system}-{processor}{libc}")
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    struct Place(TempDir);

    impl Place {
        fn new() -> Self {
            Self(TempDir::new().unwrap())
        }

        fn file(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }

        fn search(&self) -> SearchPlaces {
            let path = std::env::join_paths([self.0.path().join("a"), self.0.path().join("b")]).unwrap();
            SearchPlaces { path: Some(path), cache: Some(self.0.path().join("cache")) }
        }
    }

    #[test]
    fn the_configured_one_wins_and_is_never_replaced() {
        let place = Place::new();
        place.file("a/claude", 0o755);
        let configured = place.file("own/cli", 0o755);
        assert_eq!(place.search().find(Some(&configured)).unwrap(), configured);

        let missing = place.0.path().join("missing");
        let error = place.search().find(Some(&missing)).unwrap_err().to_string();
        assert!(error.contains("CLAUDE_CLI_PATH") && error.contains("missing"), "{error}");
    }

    #[test]
    fn path_comes_before_the_cache_and_only_executables_count() {
        let place = Place::new();
        let cached = place.search().cached().unwrap();
        let cached = place.file(cached.strip_prefix(place.0.path()).unwrap().to_str().unwrap(), 0o755);
        place.file("a/claude", 0o644);
        fs::create_dir_all(place.0.path().join("b/claude")).unwrap();
        assert_eq!(place.search().find(None).unwrap(), cached);

        fs::remove_dir(place.0.path().join("b/claude")).unwrap();
        let on_path = place.file("b/claude", 0o755);
        assert_eq!(place.search().find(None).unwrap(), on_path);
    }

    #[test]
    fn a_relative_entry_of_path_is_passed_over() {
        let search = SearchPlaces { path: Some("relative:.".into()), cache: None };
        let error = search.find(None).unwrap_err().to_string();
        assert!(error.contains(PINNED_VERSION), "{error}");
    }

    #[test]
    fn the_cached_install_is_named_by_version_and_platform() {
        let search = SearchPlaces { path: None, cache: Some("/c".into()) };
        let cached = search.cached().unwrap();
        let wanted = format!("/c/steward/claude-{PINNED_VERSION}/node_modules/@anthropic-ai/claude-code-");
        assert!(cached.to_str().unwrap().starts_with(&wanted), "{}", cached.display());
        assert!(PINNED_VERSION.split('.').all(|part| part.parse::<u32>().is_ok()));
    }
}

//! Where the CLI keeps its files: `CLAUDE_CONFIG_DIR`, else `.claude` in the home folder.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use crate::options::EnvMode;

/// The folder the CLI keeps its files in, and where it looks for `.claude.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigDir {
    /// The folder.
    pub(crate) path: PathBuf,
    /// `.claude.json`, which lies beside the default folder but inside one that was chosen.
    pub(crate) claude_json: PathBuf,
}

impl ConfigDir {
    /// As a CLI with this environment sees it.
    pub(crate) fn of(lookup: impl Fn(&str) -> Option<PathBuf>) -> Option<Self> {
        let given = |name| lookup(name).filter(|path| !path.as_os_str().is_empty());
        if let Some(path) = given("CLAUDE_CONFIG_DIR") {
            let claude_json = path.join(".claude.json");
            return Some(Self { path, claude_json });
        }
        let home = given("HOME")?;
        Some(Self { path: home.join(".claude"), claude_json: home.join(".claude.json") })
    }

    /// As an agent with this environment sees it.
    pub(crate) fn of_agent(env: &BTreeMap<String, String>, mode: EnvMode) -> Option<Self> {
        Self::of(|name| match (env.get(name), mode) {
            (Some(value), _) => Some(PathBuf::from(value)),
            (None, EnvMode::Merge) => of_this_process(name),
            (None, EnvMode::Replace) => None,
        })
    }

    /// As this process sees it.
    pub(crate) fn of_this_process() -> Option<Self> {
        Self::of(of_this_process)
    }
}

/// The folder of all projects in a configuration folder.
pub(crate) fn projects(config_dir: &Path) -> PathBuf {
    config_dir.join("projects")
}

/// The environment is read when a host asks for the default place, never behind its back.
fn of_this_process(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(env: &[(&str, &str)]) -> Option<ConfigDir> {
        let env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        ConfigDir::of_agent(&env.collect(), EnvMode::Replace)
    }

    #[test]
    fn a_chosen_folder_comes_before_the_home_folder() {
        let chosen = agent(&[("CLAUDE_CONFIG_DIR", "/c"), ("HOME", "/h")]).unwrap();
        assert_eq!(chosen.path, Path::new("/c"));
        assert_eq!(chosen.claude_json, Path::new("/c/.claude.json"));
        let default = agent(&[("CLAUDE_CONFIG_DIR", ""), ("HOME", "/h")]).unwrap();
        assert_eq!(default.path, Path::new("/h/.claude"));
        assert_eq!(default.claude_json, Path::new("/h/.claude.json"));
        assert_eq!(agent(&[]), None);
    }
}

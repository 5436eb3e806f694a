//! Where the files are, and the programs that read them.

use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// A file or folder of this repository. From where cargo runs the tests, because they may have been built for another
/// checkout.
pub fn repository(path: &str) -> PathBuf {
    Path::new("../..").canonicalize().unwrap().join(path)
}

/// `prometheus` or `promtool`.
pub fn program(name: &str) -> PathBuf {
    let folder = env::var_os("STEWARD_TEST_PROMETHEUS");
    let folder = folder.unwrap_or_else(|| panic!("STEWARD_TEST_PROMETHEUS is not set: run cargo xtask test"));
    Path::new(&folder).join(name)
}

/// The files of a folder whose names end so, in their order.
pub fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(repository(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|it| it == extension)).collect();
    files.sort();
    assert!(!files.is_empty(), "nothing in {folder}");
    files
}

/// A YAML file, as JSON.
pub fn yaml(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A JSON file.
pub fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

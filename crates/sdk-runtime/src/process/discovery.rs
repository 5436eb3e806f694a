//! Finding the CLI where installations put it.

use std::{
    env,
    path::{Path, PathBuf},
};

use which::sys::{RealSys, Sys as _};

use crate::error::Error;

/// What the CLI is called.
const CLI_NAME: &str = "claude";
/// Where installers put it, below the home directory.
const HOME_PLACES: [&str; 5] = [
    ".npm-global/bin/claude",
    ".local/bin/claude",
    "node_modules/.bin/claude",
    ".yarn/bin/claude",
    ".claude/local/claude",
];
/// Where else they put it.
const PLACES: [&str; 2] = ["/usr/local/bin/claude", "/opt/homebrew/bin/claude"];

/// Finds the agent CLI: `explicit` if given (a path, or a name in this process's `PATH`), else `claude` in
/// the `PATH`, else in the places where installers put it. Only files that may be executed count.
///
/// # Errors
///
/// [`Error::CliNotFound`] with the explicit path, or with the name `claude`. [`cli_places`] says where was
/// looked.
pub fn find_cli(explicit: Option<&Path>) -> Result<PathBuf, Error> {
    let wanted = explicit.unwrap_or(Path::new(CLI_NAME));
    let found = which::which(wanted).ok();
    let found = found.or_else(|| match explicit {
        Some(_) => None,
        None => well_known().into_iter().find(|place| which::which(place).is_ok()),
    });
    found.ok_or_else(|| Error::CliNotFound { path: wanted.to_owned() })
}

/// Every path at which [`find_cli`] looks for `explicit`, in its order.
pub fn cli_places(explicit: Option<&Path>) -> Vec<PathBuf> {
    let name = explicit.unwrap_or(Path::new(CLI_NAME));
    if name.components().count() > 1 {
        return vec![name.to_owned()];
    }
    let path = RealSys.env_path().unwrap_or_default();
    let mut places: Vec<PathBuf> = env::split_paths(&path).map(|dir| dir.join(name)).collect();
    if explicit.is_none() {
        places.extend(well_known());
    }
    places
}

/// The home directory of the user this process runs as.
pub(crate) fn home_dir() -> Option<PathBuf> {
    RealSys.home_dir()
}

fn well_known() -> Vec<PathBuf> {
    let below_home = home_dir().into_iter().flat_map(|home| HOME_PLACES.map(|place| home.join(place)));
    below_home.chain(PLACES.map(PathBuf::from)).collect()
}

//! Where one agent may write, and what it does not see at all.

use super::{
    PathSettings,
    real::{LastLink, Real, Resolver},
};
use crate::Surroundings;
use std::path::{Path, PathBuf};

/// Devices that keep nothing.
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/random", "/dev/urandom"];

/// The places of one agent, without links.
#[derive(Debug)]
pub(crate) struct Territory {
    writable: Vec<PathBuf>,
    /// Visible although what is around it is hidden.
    own: Vec<PathBuf>,
    hidden: Vec<PathBuf>,
    home: PathBuf,
}

impl Territory {
    pub(crate) fn of(surroundings: &Surroundings, settings: &PathSettings, resolver: &Resolver) -> Self {
        let real = |path: &PathBuf| match resolver.resolve(Path::new("/"), path, LastLink::Follow) {
            Ok(Real::Path(real)) => real,
            // A directory that leads nowhere is nowhere.
            Ok(Real::Stream) | Err(_) => path.clone(),
        };
        let home = real(&surroundings.home);
        let mut writable = vec![real(&surroundings.working_directory), real(&surroundings.temporary)];
        writable.extend(surroundings.add_dirs.iter().chain(&settings.writable).map(real));
        let mut own = writable.clone();
        own.push(home.clone());
        Self { writable, own, hidden: settings.hidden.iter().map(real).collect(), home }
    }

    pub(crate) fn may_write(&self, path: &Path) -> bool {
        self.writable.iter().any(|dir| path.starts_with(dir))
            || DEVICES.iter().any(|device| path == Path::new(device))
            || self.is_notebook(path)
    }

    /// Whether it, or with `tree` something below it, is hidden. The innermost directory decides.
    pub(crate) fn is_hidden(&self, path: &Path, tree: bool) -> bool {
        let depth = |dirs: &[PathBuf]| {
            let around = dirs.iter().filter(|dir| path.starts_with(dir));
            around.map(|dir| dir.components().count()).max()
        };
        depth(&self.hidden) > depth(&self.own) || tree && self.hidden.iter().any(|dir| dir.starts_with(path))
    }

    /// What the CLI itself has the model write in its home: plans, and what it wants to remember. Not its settings and
    /// transcripts, which would change whom it obeys and what it said.
    fn is_notebook(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.home) else { return false };
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        match &parts[..] {
            [plans, _, ..] if plans == "plans" => true,
            [projects, _, memory, _, ..] => projects == "projects" && memory == "memory",
            _ => false,
        }
    }
}

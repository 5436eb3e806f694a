//! Masks: what is empty in a jail although the place it lies in is shown.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, access};

use super::jail::SYSTEM_DIRS;
use crate::{
    containment::{Jail, Outside},
    error::Error,
};

/// Where settings of other programs are, secrets among them.
const SETTINGS_DIRS: [&str; 2] = ["/etc", "/usr/local/etc"];
/// A private `/tmp` and `/run` hide what is in the host's.
const PRIVATE_DIRS: [&str; 2] = ["/tmp", "/run"];
const READABLE_BY_ALL: u32 = 0o004;
const OPEN_TO_ALL: u32 = 0o005;

/// A place that is empty inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mask {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
}

/// What this jail masks. It looks at many files, on a thread where that holds nobody up.
pub(super) async fn of(jail: &Jail) -> Result<Vec<Mask>, Error> {
    let jail = jail.clone();
    let found = tokio::task::spawn_blocking(move || find(&jail)).await;
    found.map_err(io::Error::other).flatten().map_err(|error| Error::NotContained {
        why: format!("what is to be hidden from it could not be looked for: {error}"),
    })
}

fn find(jail: &Jail) -> io::Result<Vec<Mask>> {
    let mut masks = Vec::new();
    for path in &jail.masked {
        match fs::canonicalize(path) {
            Ok(path) if is_shown(jail, &path) => {
                let kind = if path.is_dir() { Kind::Directory } else { Kind::File };
                masks.push(Mask { path, kind });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if jail.outside == Outside::Hidden {
        for dir in SETTINGS_DIRS {
            find_private(dir.as_ref(), &mut masks)?;
        }
    }
    // A mask below another would have to be made in it first.
    let outer = masks.clone();
    masks.retain(|mask| {
        !outer.iter().any(|other| other.path != mask.path && mask.path.starts_with(&other.path))
    });
    masks.sort_by(|a, b| a.path.cmp(&b.path));
    masks.dedup();
    Ok(masks)
}

/// Whether this real path can be seen inside. What cannot needs no mask, and would only become one that can.
fn is_shown(jail: &Jail, path: &Path) -> bool {
    let below = |dir: &Path| fs::canonicalize(dir).is_ok_and(|dir| path.starts_with(dir));
    if jail.readable.iter().any(|dir| below(dir)) {
        return true;
    }
    match jail.outside {
        Outside::ReadOnly => !PRIVATE_DIRS.iter().any(|dir| path.starts_with(dir)),
        Outside::Hidden => SYSTEM_DIRS.iter().any(|dir| below(dir.as_ref())),
    }
}

/// Adds what this user can read and not everybody can.
fn find_private(dir: &Path, masks: &mut Vec<Mask>) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        // Closed to us is closed to the agent, which is the same user.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let (path, mode) = (entry.path(), metadata.permissions().mode());
        let is_ours = || access(&path, AccessFlags::R_OK).is_ok();
        if metadata.is_dir() {
            if mode & OPEN_TO_ALL == OPEN_TO_ALL {
                find_private(&path, masks)?;
            } else if is_ours() {
                masks.push(Mask { path, kind: Kind::Directory });
            }
        } else if metadata.is_file() && mode & READABLE_BY_ALL == 0 && is_ours() {
            masks.push(Mask { path, kind: Kind::File });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(path: &Path, mode: u32) {
        fs::write(path, "x").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_not_everybody_may_read_is_found_at_any_depth() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("open/deep")).unwrap();
        fs::create_dir_all(at("closed")).unwrap();
        fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o700)).unwrap();
        make(&at("closed/key"), 0o644);
        make(&at("public"), 0o644);
        make(&at("shadow"), 0o640);
        make(&at("open/deep/secret"), 0o600);
        std::os::unix::fs::symlink(at("shadow"), at("link")).unwrap();
        let mut masks = Vec::new();
        find_private(dir.path(), &mut masks).unwrap();
        let mut found: Vec<_> = masks.into_iter().map(|mask| (mask.path, mask.kind)).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let wanted = [
            (at("closed"), Kind::Directory),
            (at("open/deep/secret"), Kind::File),
            (at("shadow"), Kind::File),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn only_what_would_be_seen_is_masked_and_nothing_twice() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("tools/data/inner")).unwrap();
        let jail = Jail::default().with_outside(Outside::Hidden);
        let masked = |jail: &Jail| {
            let masks = find(jail).unwrap();
            masks.into_iter().map(|mask| mask.path).filter(|path| path.starts_with(&root)).collect::<Vec<_>>()
        };
        let hidden = jail.clone().with_masked(vec![root.join("tools/data"), root.join("nowhere")]);
        assert!(masked(&hidden).is_empty(), "it is not shown anyway");
        let data = root.join("tools/data");
        let shown = jail.with_readable(vec![root.join("tools")]).with_masked(vec![
            data.clone(),
            data.join("inner"),
            data.clone(),
        ]);
        assert_eq!(masked(&shown), [data]);
    }
}

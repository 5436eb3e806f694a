//! Removing trees in which agents have worked, who may forbid themselves anything there, and so this server.

use cap_std::{
    ambient_authority,
    fs::{Dir, Permissions, PermissionsExt},
};
use std::{ffi::OsStr, fs, io, path::Path};

/// Removes the tree, if there is one. Folders that nobody may write to are common in caches of packages, and would keep
/// what is in them.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match removed(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            allow_removal(path)?;
            removed(path)
        }
        removed => removed,
    }
}

fn removed(path: &Path) -> io::Result<()> {
    unless_gone(fs::remove_dir_all(path))
}

/// Lets its owner do everything in the tree, from the top down: a folder that cannot be read does not say what is in it.
fn allow_removal(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let parent = Dir::open_ambient_dir(parent, ambient_authority())?;
    unless_gone(allow_below(&parent, name))
}

/// By handles, so that whatever becomes a link meanwhile leads nowhere but into the tree.
fn allow_below(within: &Dir, name: &OsStr) -> io::Result<()> {
    within.set_permissions(name, Permissions::from_mode(0o700))?;
    let folder = within.open_dir(name)?;
    for entry in folder.entries()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            allow_below(&folder, &entry.file_name())?;
        }
    }
    Ok(())
}

/// Somebody else removes it as well, perhaps.
fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{Uid, geteuid, setfsuid};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    /// On a thread whose files are somebody's whom permissions bind; root's would bind nobody.
    fn as_somebody<T: Send>(test: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let tested = scope.spawn(|| {
                if geteuid().is_root() {
                    setfsuid(Uid::from_raw(NOBODY));
                }
                test()
            });
            tested.join().unwrap()
        })
    }

    const NOBODY: u32 = 65_534;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_tree_goes_although_nobody_may_write_or_look_into_it() {
        let dir = tempfile::tempdir().unwrap();
        if geteuid().is_root() {
            chown(dir.path(), Some(NOBODY), None).unwrap();
        }
        let (tree, elsewhere) = (dir.path().join("tree"), dir.path().join("elsewhere"));
        as_somebody(|| {
            for folder in [tree.join("pkg/mod/one"), tree.join("dark/two"), elsewhere.clone()] {
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join("file"), "x").unwrap();
            }
            symlink(&elsewhere, tree.join("pkg/mod/link")).unwrap();
            let forbid = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
            forbid(&elsewhere, 0o555).unwrap();
            forbid(&tree.join("pkg/mod/one"), 0o555).unwrap();
            forbid(&tree.join("pkg/mod"), 0o555).unwrap();
            forbid(&tree.join("dark"), 0o000).unwrap();
            forbid(&tree, 0o555).unwrap();
            let refused = fs::remove_dir_all(&tree).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "the test tests something");
            remove_tree(&tree).unwrap();
        });
        assert!(!tree.exists());
        assert!(elsewhere.join("file").exists() && mode(&elsewhere) == 0o555, "a link leads nowhere");
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn what_is_not_there_need_not_be_removed_and_what_cannot_be_is_told() {
        let dir = tempfile::tempdir().unwrap();
        remove_tree(&dir.path().join("nothing")).unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        remove_tree(&dir.path().join("file")).unwrap_err();
    }
}

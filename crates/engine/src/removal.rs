//! Removing trees in which agents have worked, who may forbid themselves anything there, and so this server.

use cap_std::{
    ambient_authority,
    fs::{Dir, MetadataExt, Permissions, PermissionsExt},
};
use std::{ffi::OsStr, io, path::Path};
use uuid::Uuid;

/// All that the owner of a folder may do.
const ALL: u32 = 0o700;

/// Removes the tree, if there is one. Folders that nobody may write to are common in caches of packages, and would keep
/// what is in them.
///
/// Whatever lies deeper than one level is moved up first: a tree may be deeper than a stack, or open files, or the length
/// of a path go. By handles, so that whatever becomes a link meanwhile leads nowhere but into the tree.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    unless_gone(Dir::open_ambient_dir(parent, ambient_authority()).and_then(|parent| remove(&parent, name)))
}

fn remove(parent: &Dir, name: &OsStr) -> io::Result<()> {
    let root = open(parent, name)?;
    while level(&root)? {}
    parent.remove_dir(name)
}

/// Removes all folders of the root with all but their folders, which become the root's. False if there was nothing.
fn level(root: &Dir) -> io::Result<bool> {
    let mut is_there = false;
    for entry in root.entries()? {
        let entry = entry?;
        is_there = true;
        let name = entry.file_name();
        if !entry.file_type()?.is_dir() {
            root.remove_file(&name)?;
            continue;
        }
        let folder = open(root, &name)?;
        for below in folder.entries()? {
            let below = below?;
            if below.file_type()?.is_dir() {
                // One that changes its parent is written to.
                allow(&folder, &below.file_name())?;
                folder.rename(below.file_name(), root, Uuid::new_v4().simple().to_string())?;
            } else {
                folder.remove_file(below.file_name())?;
            }
        }
        root.remove_dir(&name)?;
    }
    Ok(is_there)
}

fn open(within: &Dir, name: &OsStr) -> io::Result<Dir> {
    allow(within, name)?;
    within.open_dir(name)
}

/// Lets its owner do everything in a folder. Whoever may not is told by what they do then.
fn allow(within: &Dir, name: &OsStr) -> io::Result<()> {
    let metadata = within.symlink_metadata(name)?;
    if metadata.is_dir() && metadata.mode() & ALL != ALL {
        within.set_permissions(name, Permissions::from_mode(ALL))?;
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
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, chown, symlink},
    };

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

    /// Removed by a function that calls itself it takes 20 MB of stack, or as many open files as there are folders.
    #[test]
    fn a_tree_may_be_as_deep_as_it_likes() {
        const FOLDERS: usize = 20_000;
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut deepest = Dir::open_ambient_dir(&tree, ambient_authority()).unwrap();
        for _ in 0..FOLDERS {
            deepest.create_dir("d").unwrap();
            deepest.write("file", "x").unwrap();
            deepest = deepest.open_dir("d").unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn what_is_not_there_need_not_be_removed_and_what_cannot_be_is_told() {
        let dir = tempfile::tempdir().unwrap();
        remove_tree(&dir.path().join("nothing")).unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        remove_tree(&dir.path().join("file")).unwrap_err();
    }
}

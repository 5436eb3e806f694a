//! Removing trees in which agents have worked, who may forbid themselves anything there, and so this server.

use crate::{kind_of, open_folder};
use cap_std::{
    ambient_authority,
    fs::{Dir, DirEntry, MetadataExt, Permissions, PermissionsExt},
};
use std::{ffi::OsStr, io, path::Path};
use uuid::Uuid;

/// All that the owner of a folder may do.
const ALL: u32 = 0o700;

/// How often it is looked what is left, once for each level: far more than any tree has, and there is an end where a file
/// system lists what it does not have.
const LOOKS_MAX: usize = 1_000_000;

/// Removes the tree, if there is one. Folders that nobody may write to are common in caches of packages, and would keep
/// what is in them.
///
/// Whatever lies deeper than one level is moved up first: a tree may be deeper than a stack, or open files, or the length
/// of a path go. By handles, so that whatever becomes a link meanwhile leads nowhere but into the tree.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    unless_gone(Dir::open_ambient_dir(parent, ambient_authority()).and_then(|parent| remove(&parent, name)))
}

/// The same for a tree in a folder that is open.
pub fn remove_in(parent: &Dir, name: &OsStr) -> io::Result<()> {
    unless_gone(remove(parent, name))
}

/// Removes what lies in the folder under names that are left over from something, trees or not.
pub fn sweep(parent: &Dir, is_left: impl Fn(&OsStr) -> bool) -> io::Result<()> {
    for entry in parent.entries()? {
        let entry = entry?;
        let name = entry.file_name();
        if is_left(&name) {
            let is_folder = kind_of(&entry)?.is_dir();
            unless_gone(if is_folder { remove(parent, &name) } else { parent.remove_file(&name) })?;
        }
    }
    Ok(())
}

fn remove(parent: &Dir, name: &OsStr) -> io::Result<()> {
    let root = open(parent, name)?;
    let mut looks = 0..LOOKS_MAX;
    while looks.next().is_some() && level(&root)? {}
    parent.remove_dir(name)
}

/// Removes all folders of the root with all but their folders, which become the root's. False if there was nothing.
fn level(root: &Dir) -> io::Result<bool> {
    let mut is_there = false;
    for entry in root.entries()? {
        is_there = true;
        // Where somebody else was faster, the next look tells what is left.
        unless_gone(entry.and_then(|entry| take(root, &entry)))?;
    }
    Ok(is_there)
}

fn take(root: &Dir, entry: &DirEntry) -> io::Result<()> {
    let name = entry.file_name();
    if !kind_of(entry)?.is_dir() {
        return root.remove_file(&name);
    }
    // An empty one goes whoever's it is.
    if root.remove_dir(&name).is_ok() {
        return Ok(());
    }
    let folder = open(root, &name)?;
    for below in folder.entries()? {
        let below = below?;
        let name = below.file_name();
        if !kind_of(&below)?.is_dir() {
            folder.remove_file(&name)?;
        } else if folder.remove_dir(&name).is_err() {
            // One that changes its parent is written to.
            allow(&folder, &name)?;
            folder.rename(&name, root, Uuid::new_v4().simple().to_string())?;
        }
    }
    root.remove_dir(&name)
}

fn open(within: &Dir, name: &OsStr) -> io::Result<Dir> {
    allow(within, name)?;
    open_folder(within, name)
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
    fn an_empty_folder_of_somebody_else_goes_wherever_it_is() {
        if !geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("app/empty")).unwrap();
        fs::create_dir(tree.join("empty")).unwrap();
        for theirs in [dir.path(), &tree, &tree.join("app")] {
            chown(theirs, Some(NOBODY), None).unwrap();
        }
        for ours in [tree.join("empty"), tree.join("app/empty")] {
            fs::set_permissions(ours, fs::Permissions::from_mode(0o555)).unwrap();
        }
        as_somebody(|| remove_tree(&tree)).unwrap();
        assert!(!tree.exists());
    }

    /// Whoever was told that it is gone counts on that.
    #[test]
    fn who_removes_what_others_remove_too_ends_when_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..10 {
            let tree = dir.path().join(round.to_string());
            for folder in 0..100 {
                let folder = tree.join(format!("{folder}/deeper"));
                fs::create_dir_all(&folder).unwrap();
                for file in 0..10 {
                    fs::write(folder.join(file.to_string()), "").unwrap();
                }
            }
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        remove_tree(&tree).unwrap();
                        assert!(!tree.exists());
                    });
                }
            });
        }
    }

    #[test]
    fn what_is_not_there_need_not_be_removed_and_what_cannot_be_is_told() {
        let dir = tempfile::tempdir().unwrap();
        remove_tree(&dir.path().join("nothing")).unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        remove_tree(&dir.path().join("file")).unwrap_err();
    }

    /// Whoever works beside the folder may put anything there under such a name.
    #[test]
    fn what_is_left_over_is_removed_whatever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("left-tree/below")).unwrap();
        fs::write(at("left-file"), "x").unwrap();
        fs::create_dir(at("kept")).unwrap();
        fs::write(at("kept/file"), "x").unwrap();
        symlink("kept", at("left-link")).unwrap();
        let parent = Dir::open_ambient_dir(dir.path(), ambient_authority()).unwrap();
        sweep(&parent, |name| name.as_encoded_bytes().starts_with(b"left-")).unwrap();
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["kept"]);
        assert!(at("kept/file").exists(), "a link leads nowhere");
        symlink("kept", at("left-link")).unwrap();
        remove_in(&parent, OsStr::new("left-link")).unwrap_err();
        assert!(at("kept/file").exists(), "a link is no tree");
    }
}

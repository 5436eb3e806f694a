//! The worktrees of a git repository, read from its files: a session may lie under any of them.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use super::project_key::real_path;

/// Real paths of all worktrees of the repository around `cwd`; empty when there is none.
pub(super) fn worktrees(cwd: &Path) -> Vec<String> {
    let Some(common) = cwd.ancestors().find_map(|folder| common_dir(&folder.join(".git"))) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if common.file_name().is_some_and(|name| name == ".git")
        && let Some(main) = common.parent()
    {
        found.push(real_path(main));
    }
    let linked = fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten();
    for entry in linked {
        let git_file = fs::read_to_string(entry.path().join("gitdir")).unwrap_or_default();
        if let Some(folder) = Path::new(git_file.trim_end()).parent()
            && !folder.as_os_str().is_empty()
        {
            found.push(real_path(&entry.path().join(folder)));
        }
    }
    found
}

/// The folder all worktrees share, given the `.git` of one of them.
fn common_dir(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return git.canonicalize().ok();
    }
    let pointer = fs::read_to_string(git).ok()?;
    let pointed = pointer.trim_end().strip_prefix("gitdir: ")?;
    let git_dir = git.parent()?.join(pointed);
    let common = fs::read_to_string(git_dir.join("commondir")).ok()?;
    let common = git_dir.join(common.trim_end());
    common.canonicalize().ok().filter(|common| common.components().any(|part| part != Component::RootDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_worktrees_are_found_from_each_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("main/.git/worktrees/side")).unwrap();
        fs::create_dir_all(path("main/deep/er")).unwrap();
        fs::create_dir_all(path("side")).unwrap();
        let git_dir = path("main/.git/worktrees/side");
        fs::write(git_dir.join("gitdir"), format!("{}\n", path("side/.git").display())).unwrap();
        fs::write(git_dir.join("commondir"), "../..\n").unwrap();
        fs::write(path("side/.git"), format!("gitdir: {}\n", git_dir.display())).unwrap();
        let both = [real_path(&path("main")), real_path(&path("side"))];
        assert_eq!(worktrees(&path("main/deep/er")), both);
        assert_eq!(worktrees(&path("side")), both);
    }

    #[test]
    fn no_repository_means_no_worktrees() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".git"), "nonsense").unwrap();
        assert!(worktrees(folder.path()).is_empty());
    }
}

//! Where a session may work: inside its owner's folder or a root the operator shared, and never through a link.

use crate::{
    Error, FieldError, Result,
    settings::{DirectorySettings, EngineSettings},
};
use domain::{SessionId, UserId};
use std::path::{Component, Path, PathBuf};

/// Longest path that is accepted, in bytes.
const PATH_BYTES_MAX: usize = 1024;

/// A working directory that exists and is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingDirectory {
    pub path: PathBuf,
    /// Whether it was made for this session alone.
    pub is_own: bool,
}

/// Makes the session's own directory, or checks the one that was asked for and makes it if it is not there.
pub fn prepare(
    settings: &DirectorySettings,
    user: UserId,
    session: SessionId,
    asked: Option<&str>,
) -> Result<WorkingDirectory> {
    let home = settings.workspaces.join(user.to_string());
    let Some(asked) = asked else {
        let path = home.join(session.to_string());
        make(&path)?;
        return Ok(WorkingDirectory { path, is_own: true });
    };
    let path = check(settings, &home, asked, "/working_directory")?;
    make(&path)?;
    Ok(WorkingDirectory { path, is_own: false })
}

/// The absolute path of a directory the user may use; it need not exist yet.
pub fn check(settings: &DirectorySettings, home: &Path, asked: &str, pointer: &str) -> Result<PathBuf> {
    let refuse = |code, message: &str| Err(Error::Invalid(vec![FieldError::new(pointer, code, message)]));
    if asked.is_empty() || asked.len() > PATH_BYTES_MAX || asked.contains('\0') {
        return refuse("path", "must be a path of 1 to 1024 bytes without NUL");
    }
    let path = home.join(asked);
    if path.components().any(|part| matches!(part, Component::ParentDir | Component::CurDir)) {
        return refuse("path", "must not contain . or ..");
    }
    let Some(root) = std::iter::once(home)
        .chain(settings.shared_roots.iter().map(PathBuf::as_path))
        .find(|root| path.starts_with(root))
    else {
        return refuse("outside", "is outside the directories this server allows");
    };
    let mut step = root.to_path_buf();
    for part in path.strip_prefix(root).unwrap_or(&path).components() {
        step.push(part);
        match std::fs::symlink_metadata(&step) {
            Ok(metadata) if metadata.is_symlink() => {
                return refuse("symlink", "is reached through a symbolic link");
            }
            Ok(metadata) if !metadata.is_dir() => return refuse("path", "is not a directory"),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
            Err(source) => return Err(Error::Files { action: "look at the working directory", source }),
        }
    }
    Ok(path)
}

/// A user's own folder.
#[must_use]
pub fn home(settings: &EngineSettings, user: UserId) -> PathBuf {
    settings.directories.workspaces.join(user.to_string())
}

fn make(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path)
        .map_err(|source| Error::Files { action: "create the working directory", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> (tempfile::TempDir, DirectorySettings, UserId) {
        let dir = tempfile::tempdir().unwrap();
        let shared = dir.path().join("shared");
        std::fs::create_dir_all(shared.join("inside")).unwrap();
        std::fs::create_dir_all(dir.path().join("elsewhere/deep")).unwrap();
        std::fs::write(shared.join("file"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), shared.join("link")).unwrap();
        let settings = DirectorySettings {
            workspaces: dir.path().join("workspaces"),
            shared_roots: vec![shared],
            agents: dir.path().join("agents"),
            temporary: dir.path().join("tmp"),
        };
        (dir, settings, UserId::new())
    }

    fn code_of(settings: &DirectorySettings, user: UserId, asked: &str) -> Option<&'static str> {
        match prepare(settings, user, SessionId::new(), Some(asked)) {
            Ok(_) => None,
            Err(Error::Invalid(fields)) => Some(fields[0].code),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_allowed_directories_are_accepted() {
        let (dir, settings, user) = world();
        let at = |path: &str| dir.path().join(path).display().to_string();
        assert_eq!(code_of(&settings, user, "project"), None);
        assert_eq!(code_of(&settings, user, &at("shared/inside")), None);
        assert_eq!(code_of(&settings, user, &at("shared/new/deeper")), None);
        assert_eq!(code_of(&settings, user, &at("elsewhere")), Some("outside"));
        assert_eq!(code_of(&settings, user, &at("shared-not")), Some("outside"));
        assert_eq!(code_of(&settings, user, "/"), Some("outside"));
        assert_eq!(code_of(&settings, user, &at("shared/link")), Some("symlink"));
        assert_eq!(code_of(&settings, user, &at("shared/link/deep")), Some("symlink"));
        assert_eq!(code_of(&settings, user, &at("shared/file")), Some("path"));
        assert_eq!(code_of(&settings, user, "../x"), Some("path"));
        assert_eq!(code_of(&settings, user, &at("shared/inside/../../elsewhere")), Some("path"));
        assert_eq!(code_of(&settings, user, "a\0b"), Some("path"));
        assert_eq!(code_of(&settings, user, ""), Some("path"));
    }

    #[test]
    fn another_users_folder_is_outside() {
        let (_dir, settings, user) = world();
        let other = prepare(&settings, UserId::new(), SessionId::new(), None).unwrap();
        assert_eq!(code_of(&settings, user, &other.path.display().to_string()), Some("outside"));
    }
}

//! Where a session may work: inside its owner's folder or a root the operator shared, and never through a link.

use crate::{
    Error, FieldError, Result,
    settings::{DirectorySettings, EngineSettings},
};
use cap_std::{
    ambient_authority,
    fs::{Dir, MetadataExt},
};
use domain::{SessionId, UserId};
use std::{
    io,
    path::{Component, Path, PathBuf},
};

/// Longest path that is accepted, in bytes.
const PATH_BYTES_MAX: usize = 1024;
/// Longest part of a path that a file system takes, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Between the name of a session's own directory and the number of messages, in the names of older ones.
const ASIDE: &str = ".at-message-";

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
        let path = own(settings, user, session);
        make(&path).map_err(not_made)?;
        return Ok(WorkingDirectory { path, is_own: true });
    };
    let path = check(settings, &home, asked, "/working_directory")?;
    make(&path)
        .map_err(|source| unusable("/working_directory", &source).unwrap_or_else(|| not_made(source)))?;
    Ok(WorkingDirectory { path, is_own: false })
}

/// Where the directory is that a session has for itself.
#[must_use]
pub fn own(settings: &DirectorySettings, user: UserId, session: SessionId) -> PathBuf {
    settings.workspaces.join(user.to_string()).join(session.to_string())
}

/// Where a session's own directory of when it had so many messages is kept, after another one has taken its place.
#[must_use]
pub fn aside(own: &Path, messages: u64) -> PathBuf {
    let name = own.file_name().unwrap_or_default().to_string_lossy();
    own.with_file_name(format!("{name}{ASIDE}{messages}"))
}

/// A session's own directory and those that are kept beside it, as far as they are there.
pub fn all_own(own: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(name), Some(home)) = (own.file_name(), own.parent()) else { return Ok(vec![]) };
    let entries = match std::fs::read_dir(home) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries?,
    };
    let prefix = format!("{}{ASIDE}", name.to_string_lossy());
    let mut all = vec![];
    for entry in entries {
        let entry = entry?;
        let named = entry.file_name();
        if named == name || named.to_string_lossy().starts_with(&prefix) {
            all.push(entry.path());
        }
    }
    Ok(all)
}

/// Makes a session's own directory; whether it was there.
pub fn make_own(path: &Path) -> Result<bool> {
    let was_there = path.try_exists().map_err(not_made)?;
    make(path).map_err(not_made)?;
    Ok(was_there)
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
    if path.components().any(|part| part.as_os_str().len() > NAME_BYTES_MAX) {
        return refuse("path", "has a part of more than 255 bytes");
    }
    let Some((root, below)) = split(settings, home, &path) else {
        return refuse("outside", "is outside the directories this server allows");
    };
    let mut step = root.to_path_buf();
    for part in below.components() {
        step.push(part);
        match std::fs::symlink_metadata(&step) {
            Ok(metadata) if metadata.is_symlink() => {
                return refuse("symlink", "is reached through a symbolic link");
            }
            Ok(metadata) if !metadata.is_dir() => return refuse("path", "is not a directory"),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(source) => {
                return Err(unusable(pointer, &source)
                    .unwrap_or(Error::Files { action: "look at the working directory", source }));
            }
        }
    }
    Ok(path)
}

/// Opens a directory that was allowed, one part at a time from its root, and none through a link: whoever works in it
/// may have replaced any part since it was checked.
pub fn open(settings: &DirectorySettings, user: UserId, path: &Path) -> io::Result<Dir> {
    let home = settings.workspaces.join(user.to_string());
    let not_there = || io::Error::from(io::ErrorKind::NotFound);
    let (root, below) = split(settings, &home, path).ok_or_else(not_there)?;
    let mut dir = Dir::open_ambient_dir(root, ambient_authority())?;
    for part in below.components() {
        let named = dir.symlink_metadata(part)?;
        let below = dir.open_dir(part)?;
        let opened = below.dir_metadata()?;
        // The same, so it did not become a link between the look and the opening.
        if !named.is_dir() || (named.dev(), named.ino()) != (opened.dev(), opened.ino()) {
            return Err(not_there());
        }
        dir = below;
    }
    Ok(dir)
}

/// Opens the folder above a directory that was allowed in the same way, and makes what is missing of it. What is above a
/// root is the operator's.
pub fn open_above(settings: &DirectorySettings, user: UserId, path: &Path) -> io::Result<Dir> {
    let home = settings.workspaces.join(user.to_string());
    let not_there = || io::Error::from(io::ErrorKind::NotFound);
    let (root, below) = split(settings, &home, path).ok_or_else(not_there)?;
    let (begin, above) = match below.parent() {
        Some(above) => (root, above),
        None => (root.parent().ok_or_else(not_there)?, Path::new("")),
    };
    make(begin)?;
    let mut dir = Dir::open_ambient_dir(begin, ambient_authority())?;
    for part in above.components() {
        match dir.create_dir(part) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        dir = trees::open_folder(&dir, part.as_os_str())?;
    }
    Ok(dir)
}

/// The directory that is the operator's, links and all, and the part of the path below it that agents can change. A
/// user's own folder is such a part.
fn split<'a>(settings: &'a DirectorySettings, home: &Path, path: &'a Path) -> Option<(&'a Path, &'a Path)> {
    let in_home = path.starts_with(home).then_some(settings.workspaces.as_path());
    let mut roots = in_home.into_iter().chain(settings.shared_roots.iter().map(PathBuf::as_path));
    roots.find_map(|root| Some((root, path.strip_prefix(root).ok()?)))
}

/// What the file system has against a directory somebody asked for, where another path would do.
fn unusable(pointer: &str, error: &io::Error) -> Option<Error> {
    use io::ErrorKind as K;
    let message = match error.kind() {
        K::InvalidFilename => "is no name this server's file system takes",
        K::NotADirectory | K::AlreadyExists => "is not a directory",
        K::PermissionDenied => "is not accessible to this server",
        K::ReadOnlyFilesystem => "is on a file system that cannot be written to",
        _ => return None,
    };
    Some(Error::Invalid(vec![FieldError::new(pointer, "path", message)]))
}

/// A user's own folder.
#[must_use]
pub fn home(settings: &EngineSettings, user: UserId) -> PathBuf {
    settings.directories.workspaces.join(user.to_string())
}

fn make(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

fn not_made(source: io::Error) -> Error {
    Error::Files { action: "create the working directory", source }
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
    fn what_the_file_system_has_against_a_path_is_the_callers_to_correct() {
        use io::ErrorKind as K;
        for kind in [K::InvalidFilename, K::NotADirectory, K::PermissionDenied, K::ReadOnlyFilesystem] {
            let refused = unusable("/x", &kind.into());
            assert!(matches!(&refused, Some(Error::Invalid(at)) if at[0].pointer == "/x"), "{kind}");
        }
        assert!(unusable("/x", &K::StorageFull.into()).is_none());
    }

    #[test]
    fn a_root_that_is_no_directory_is_the_callers_to_correct() {
        let (dir, mut settings, user) = world();
        let file = dir.path().join("shared/file");
        settings.shared_roots = vec![file.clone()];
        assert_eq!(code_of(&settings, user, &file.join("below").display().to_string()), Some("path"));
        assert_eq!(code_of(&settings, user, &file.display().to_string()), Some("path"));
        assert_eq!(code_of(&settings, user, &"n".repeat(256)), Some("path"));
    }

    #[test]
    fn another_users_folder_is_outside() {
        let (_dir, settings, user) = world();
        let other = prepare(&settings, UserId::new(), SessionId::new(), None).unwrap();
        assert_eq!(code_of(&settings, user, &other.path.display().to_string()), Some("outside"));
    }
}

//! Keys that are made once and kept in the data directory, readable by the server only.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rand::RngExt;
use secrecy::SecretString;

/// The key that signs tokens.
pub const SECRET: KeyFile = KeyFile("secret_key");
/// The key that encrypts secrets.
pub const ENCRYPTION: KeyFile = KeyFile("encryption_key");

const KEY_BYTES: usize = 32;
const HEX_CHARS: usize = KEY_BYTES * 2;
/// The permission bits of people other than the owner and the group.
const OTHERS: u32 = 0o007;

/// A key in a file of this name.
#[derive(Debug, Clone, Copy)]
pub struct KeyFile(&'static str);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum SecretKeyError {
    /// The file could not be read or made.
    #[error("read or make the key {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Cut short or edited: with a new one everybody is logged out, or what it encrypted is lost, so that is left to a
    /// person.
    #[error("use the key {}: it is not {HEX_CHARS} hexadecimal digits; put it back, or remove it to get a new one", .0.display())]
    Damaged(PathBuf),
    /// Anybody on the machine could use it.
    #[error("use the key {}: everybody can read it; run chmod 600 on it", .0.display())]
    Exposed(PathBuf),
}

impl KeyFile {
    /// The key of this data directory: 64 hexadecimal digits. Of several servers that start at once, one makes it.
    pub fn read_or_create(self, data_dir: &Path) -> Result<SecretString, SecretKeyError> {
        let path = data_dir.join(self.0);
        let failed = |source| SecretKeyError::Io { path: path.clone(), source };
        if !path.try_exists().map_err(failed)? {
            create(data_dir, &path).map_err(failed)?;
        }
        read(path)
    }

    /// The key of this data directory, if one was made.
    pub fn read_if_there(self, data_dir: &Path) -> Result<Option<SecretString>, SecretKeyError> {
        let path = data_dir.join(self.0);
        match path.try_exists() {
            Ok(true) => read(path).map(Some),
            Ok(false) => Ok(None),
            Err(source) => Err(SecretKeyError::Io { path, source }),
        }
    }
}

fn read(path: PathBuf) -> Result<SecretString, SecretKeyError> {
    let failed = |source| SecretKeyError::Io { path: path.clone(), source };
    let mode = fs::metadata(&path).map_err(failed)?.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(SecretKeyError::Exposed(path));
    }
    let text = fs::read_to_string(&path).map_err(failed)?;
    let key = text.trim();
    if key.len() == HEX_CHARS && key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(key.into());
    }
    Err(SecretKeyError::Damaged(path))
}

/// Writes the whole key beside its place and links it there, so that nobody ever reads half of one.
fn create(data_dir: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(data_dir)?;
    let key: [u8; KEY_BYTES] = rand::rng().random();
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    // Made with mode 0600 from the start.
    let mut file = tempfile::NamedTempFile::new_in(data_dir)?;
    file.write_all(hex.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, thread};

    use secrecy::ExposeSecret;
    use tempfile::TempDir;

    use super::*;

    fn key(folder: &Path) -> Result<String, SecretKeyError> {
        SECRET.read_or_create(folder).map(|key| key.expose_secret().to_owned())
    }

    #[test]
    fn made_once_and_private() {
        let folder = TempDir::new().unwrap();
        let data_dir = folder.path().join("new/data");
        let first = key(&data_dir).unwrap();
        assert_eq!(first.len(), HEX_CHARS);
        assert_eq!(key(&data_dir).unwrap(), first);
        let mode = fs::metadata(data_dir.join(SECRET.0)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 1);
    }

    #[test]
    fn each_key_has_a_file_of_its_own() {
        let folder = TempDir::new().unwrap();
        let other = ENCRYPTION.read_or_create(folder.path()).unwrap();
        assert_ne!(key(folder.path()).unwrap(), other.expose_secret());
        assert!(ENCRYPTION.read_if_there(folder.path()).unwrap().is_some());
    }

    #[test]
    fn two_directories_have_two_keys() {
        let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        assert_ne!(key(one.path()).unwrap(), key(other.path()).unwrap());
    }

    #[test]
    fn servers_that_start_at_once_agree() {
        let folder = TempDir::new().unwrap();
        let keys: BTreeSet<String> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| key(folder.path()).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(keys.len(), 1);
    }

    #[test]
    fn a_damaged_key_is_refused_and_kept() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(SECRET.0);
        fs::write(&path, "cut shor").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(key(folder.path()), Err(SecretKeyError::Damaged(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "cut shor");
    }

    #[test]
    fn a_key_everybody_can_read_is_refused() {
        let folder = TempDir::new().unwrap();
        key(folder.path()).unwrap();
        fs::set_permissions(folder.path().join(SECRET.0), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(key(folder.path()), Err(SecretKeyError::Exposed(_))));
    }
}

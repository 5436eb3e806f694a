//! The directory store where things go wrong: crashes, other processes, a full disk.

use std::{fs, io::Write as _, path::PathBuf};

use sdk_runtime::store::{DirectoryStore, SessionKey, SessionStore as _};
use serde_json::{Value, json};

fn entry(uuid: &str) -> Value {
    json!({ "type": "user", "uuid": uuid })
}

fn key() -> SessionKey {
    SessionKey::main("p", "s")
}

fn main_file(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("p/s/main.jsonl")
}

#[tokio::test]
async fn what_a_crash_left_is_dropped_on_load_and_cut_off_by_the_next_append() {
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(folder.path());
    store.append(&key(), &[entry("a")]).await.unwrap();
    let mut file = fs::File::options().append(true).open(main_file(&folder)).unwrap();
    let torn = format!("{{\"type\":\"user\",\"uuid\":\"b\",\"text\":\"{}", "x".repeat(500));
    file.write_all(torn.as_bytes()).unwrap();
    assert_eq!(store.load(&key()).await.unwrap(), Some(vec![entry("a")]));
    let again = DirectoryStore::new(folder.path());
    again.append(&key(), &[entry("a"), entry("b")]).await.unwrap();
    assert_eq!(again.load(&key()).await.unwrap(), Some(vec![entry("a"), entry("b")]));
    let text = fs::read_to_string(main_file(&folder)).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[tokio::test]
async fn damage_in_the_middle_is_an_error_that_names_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(folder.path());
    store.append(&key(), &[entry("a"), entry("b"), entry("c")]).await.unwrap();
    let text = fs::read_to_string(main_file(&folder)).unwrap().replace("\"b\"", "\"b");
    fs::write(main_file(&folder), text).unwrap();
    let error = store.load(&key()).await.unwrap_err().to_string();
    assert!(error.contains("line 2 of") && error.contains("main.jsonl"), "{error}");
}

#[tokio::test]
async fn two_processes_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    // Stores that do not know of each other, as in two processes.
    let (one, other) = (DirectoryStore::new(folder.path()), DirectoryStore::new(folder.path()));
    one.append(&key(), &[entry("a")]).await.unwrap();
    other.append(&key(), &[entry("a"), entry("b")]).await.unwrap();
    one.append(&key(), &[entry("b"), entry("c")]).await.unwrap();
    let all = Some(vec![entry("a"), entry("b"), entry("c")]);
    assert_eq!(other.load(&key()).await.unwrap(), all);
    other.delete(&key()).await.unwrap();
    // As long as what was deleted, so that only the file itself tells.
    other.append(&key(), &[entry("x"), entry("y"), entry("z")]).await.unwrap();
    one.append(&key(), &[entry("a")]).await.unwrap();
    let all = Some(vec![entry("x"), entry("y"), entry("z"), entry("a")]);
    assert_eq!(one.load(&key()).await.unwrap(), all);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_device_in_the_place_of_a_transcript_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("p/s")).unwrap();
    // It would be read for ever.
    std::os::unix::fs::symlink("/dev/zero", main_file(&folder)).unwrap();
    let store = DirectoryStore::new(folder.path());
    assert!(store.append(&key(), &[entry("a")]).await.is_err());
    assert!(store.load(&key()).await.is_err());
}

/// Set for the process whose files may not grow.
#[cfg(target_os = "linux")]
const FULL_DISK: &str = "TEST_FULL_DISK";

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_append_that_does_not_fit_leaves_nothing_of_itself() {
    if let Some(folder) = std::env::var_os(FULL_DISK) {
        let store = DirectoryStore::new(folder);
        store.append(&key(), &[entry("a")]).await.unwrap();
        let long = json!({ "type": "user", "uuid": "long", "text": "x".repeat(4_000) });
        assert!(store.append(&key(), &[entry("b"), long.clone()]).await.is_err());
        assert_eq!(store.load(&key()).await.unwrap(), Some(vec![entry("a")]));
        store.append(&key(), &[entry("b")]).await.unwrap();
        assert_eq!(store.load(&key()).await.unwrap(), Some(vec![entry("a"), entry("b")]));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the limit must not reach the other tests")]
    let mut limited = std::process::Command::new("sh");
    // 512-byte blocks; the signal that comes with the limit is ignored, as a full disk sends none.
    let script = "trap '' XFSZ; ulimit -f 4; exec \"$0\" --exact \"$1\" --nocapture";
    let test = "directory::an_append_that_does_not_fit_leaves_nothing_of_itself";
    limited.args(["-c", script]).arg(std::env::current_exe().unwrap()).arg(test);
    let output = limited.env(FULL_DISK, folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

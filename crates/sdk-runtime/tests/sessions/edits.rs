//! Edits of stored sessions, also where they cannot be made.

use std::{fs, io::Write as _, path::Path, process::Command};

use sdk_runtime::sessions::{ForkOptions, Page, SessionError, SessionFiles};
use serde_json::json;
use uuid::Uuid;

use crate::files::{Folder, assistant, user, write};

#[tokio::test]
async fn titles_and_tags_are_given_and_taken() {
    let folder = Folder::new();
    let (id, path) = folder.session(&[user("a", None, "one")]);
    let files = folder.files();
    files.rename(id, "  first \n").await.unwrap();
    files.rename(id, "second").await.unwrap();
    files.tag(id, Some("\u{200b}Ｂlue\u{202e} ")).await.unwrap();
    let info = files.info(id).await.unwrap().unwrap();
    assert_eq!((info.summary.as_str(), info.tag.as_deref()), ("second", Some("Blue")));
    files.tag(id, None).await.unwrap();
    assert_eq!(files.info(id).await.unwrap().unwrap().tag, None);
    // Other readers look for a line that begins like this.
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains("\n{\"type\":\"custom-title\",\"customTitle\":\"first\""), "{text}");
    assert!(text.contains("\n{\"type\":\"tag\","), "{text}");
}

#[tokio::test]
async fn what_cannot_be_edited_is_said() {
    let folder = Folder::new();
    let (id, path) = folder.session(&[user("a", None, "one")]);
    let files = folder.files();
    let error = files.rename(id, " \n").await.unwrap_err();
    assert!(matches!(error, SessionError::EmptyTitle), "{error}");
    let error = files.tag(id, Some("\u{feff}\u{e000}")).await.unwrap_err();
    assert!(matches!(error, SessionError::EmptyTag), "{error}");
    for error in [
        files.rename(Uuid::new_v4(), "x").await.unwrap_err(),
        files.delete(Uuid::new_v4()).await.unwrap_err(),
        files.fork(Uuid::new_v4(), ForkOptions::default()).await.unwrap_err(),
    ] {
        assert!(matches!(error, SessionError::NotFound { .. }), "{error}");
    }
    fs::write(&path, "").unwrap();
    let error = files.rename(id, "x").await.unwrap_err();
    assert!(matches!(error, SessionError::NotFound { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"");
}

#[tokio::test]
async fn an_archived_session_says_so_until_it_is_brought_back_or_prompted() {
    let folder = Folder::new();
    let (id, path) = folder.session(&[user("a", None, "one")]);
    // The same session below another working directory, as a worktree leaves it.
    let twin = folder.project("/nowhere/else".as_ref()).join(path.file_name().unwrap());
    fs::copy(&path, &twin).unwrap();
    let before = fs::read(&path).unwrap();
    let files = folder.files();
    let archived = async || {
        let listed = files.list(sdk_runtime::sessions::Project::Any, Page::all()).await.unwrap();
        assert_eq!(files.info(id).await.unwrap().unwrap().archived, listed[0].archived);
        listed[0].archived
    };
    assert_eq!(archived().await, None);
    files.archive(id).await.unwrap();
    assert_eq!(archived().await, Some(true));
    assert_eq!(fs::read(&path).unwrap(), before, "the transcript is not changed");
    for transcript in [&path, &twin] {
        let mark: serde_json::Value =
            serde_json::from_slice(&fs::read(transcript.with_extension("").join("archived.json")).unwrap())
                .unwrap();
        assert!(mark["archived"] == true && mark["by"] == "sdk" && mark["at"].is_string(), "{mark}");
    }
    files.unarchive(id).await.unwrap();
    assert_eq!(archived().await, Some(false));
    files.archive(id).await.unwrap();

    let append = |entry: serde_json::Value| {
        for transcript in [&path, &twin] {
            let mut file = fs::File::options().append(true).open(transcript).unwrap();
            writeln!(file, "{entry}").unwrap();
        }
    };
    let mut late = user("b", Some("a"), "two");
    late["timestamp"] = json!("2999-01-01T00:00:00.000Z");
    late["isMeta"] = json!(true);
    append(late.clone());
    assert_eq!(archived().await, Some(true), "nobody sent that");
    late["isMeta"] = json!(false);
    append(late);
    assert_eq!(archived().await, Some(false), "somebody goes on with it");

    // What is no mark is none, and does not keep a session from being listed.
    let marks = [&path, &twin].map(|transcript| transcript.with_extension("").join("archived.json"));
    let long =
        format!("{{\"archived\":true,\"at\":\"2026-01-01T00:00:00.000Z\",\"x\":\"{}\"}}", "x".repeat(5000));
    for text in ["", "{}", "{\"archived\":true,\"at\":\"yesterday\"}", long.as_str()] {
        marks.iter().for_each(|mark| fs::write(mark, text).unwrap());
        assert_eq!(files.info(id).await.unwrap().unwrap().archived, None, "{text}");
    }
    let error = files.archive(Uuid::new_v4()).await.unwrap_err();
    assert!(matches!(error, SessionError::NotFound { .. }), "{error}");
    let transcript = files.transcript_path(id).await.unwrap();
    files.delete(id).await.unwrap();
    assert!(!transcript.with_extension("").exists(), "the mark goes with its session");
}

#[tokio::test]
async fn a_torn_last_line_does_not_swallow_a_title() {
    let folder = Folder::new();
    let (id, path) = folder.session(&[user("a", None, "one")]);
    fs::File::options().append(true).open(&path).unwrap().write_all(b"{\"torn\":").unwrap();
    folder.files().rename(id, "whole").await.unwrap();
    assert_eq!(folder.files().info(id).await.unwrap().unwrap().summary, "whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn edits_at_the_same_time_tear_no_line() {
    let folder = Folder::new();
    let (id, path) = folder.session(&[user("a", None, "one")]);
    let edits = (0..64).map(|number| {
        let files = folder.files();
        async move { files.rename(id, &format!("{number}{}", "x".repeat(10_000))).await }
    });
    futures::future::try_join_all(edits).await.unwrap();
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    assert_eq!(lines.filter(|entry| entry["type"] == "custom-title").count(), 64);
}

#[tokio::test]
async fn deleting_takes_the_subagents_along_and_nothing_else() {
    let folder = Folder::new();
    let (id, path) = folder.session(&[user("a", None, "one")]);
    let (other, _) = folder.session(&[user("a", None, "other")]);
    let beside = path.with_extension("");
    write(&beside.join("subagents/agent-a.jsonl"), &[user("s", None, "x")]);
    // A link leads elsewhere, and what it leads to stays.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("precious"), "x").unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), beside.join("link")).unwrap();
    folder.files().delete(id).await.unwrap();
    assert!(!path.exists() && !beside.exists());
    assert!(elsewhere.path().join("precious").exists());
    assert!(folder.files().info(other).await.unwrap().is_some());
}

#[tokio::test]
async fn a_fork_ends_at_its_message_and_the_source_is_untouched() {
    let folder = Folder::new();
    let (id, path) = folder.session(&[
        user("a", None, "one"),
        assistant("b", "a", "two"),
        user("c", Some("b"), "three"),
        json!({ "type": "custom-title", "customTitle": "plum" }),
    ]);
    let before = fs::read(&path).unwrap();
    let files = folder.files();
    let fork = files.fork(id, ForkOptions::default().with_up_to("b")).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
    let texts: Vec<_> = files.messages(fork, Page::all()).await.unwrap();
    assert_eq!(texts.len(), 2);
    assert!(texts.iter().all(|message| message.session_id == fork.to_string()));
    assert!(texts.iter().all(|message| message.uuid.parse::<Uuid>().is_ok()));
    assert_eq!(files.info(fork).await.unwrap().unwrap().summary, "plum (fork)");
    let named = files.fork(id, ForkOptions::default().with_title("branch")).await.unwrap();
    assert_eq!(files.info(named).await.unwrap().unwrap().summary, "branch");
    assert_eq!(files.messages(named, Page::all()).await.unwrap().len(), 3);
    let error = files.fork(id, ForkOptions::default().with_up_to("z")).await.unwrap_err();
    assert!(matches!(error, SessionError::NoSuchMessage { .. }), "{error}");
}

/// Set for the process whose files may not grow.
const FULL_DISK: &str = "TEST_FULL_DISK";

#[tokio::test]
async fn on_a_full_disk_edits_fail_and_nothing_is_lost() {
    if let Some(folder) = std::env::var_os(FULL_DISK) {
        return play_full_disk(folder.as_ref()).await;
    }
    let folder = Folder::new();
    folder.session(&[user("a", None, &"x".repeat(900))]);
    #[expect(clippy::disallowed_methods, reason = "the limit must not reach the other tests")]
    let mut limited = Command::new("sh");
    // 512-byte blocks; the signal that comes with the limit is ignored, as a full disk sends none.
    let script = "trap '' XFSZ; ulimit -f 3; exec \"$0\" --exact \"$1\" --nocapture";
    let test = "edits::on_a_full_disk_edits_fail_and_nothing_is_lost";
    limited.args(["-c", script]).arg(std::env::current_exe().unwrap()).arg(test);
    let output = limited.env(FULL_DISK, folder.folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn play_full_disk(folder: &Path) {
    let files = SessionFiles::new(folder);
    let listed = files.list(sdk_runtime::sessions::Project::Any, Page::all()).await.unwrap();
    let id = listed[0].session_id;
    let path = files.transcript_path(id).await.unwrap();
    let names = || fs::read_dir(path.parent().unwrap()).unwrap().count();
    let before = names();
    let error = files.rename(id, &"t".repeat(2_000)).await.unwrap_err();
    assert!(matches!(&error, SessionError::Io { .. }), "{error:?}");
    let error = files.fork(id, ForkOptions::default().with_title("t".repeat(2_000))).await.unwrap_err();
    assert!(matches!(&error, SessionError::Io { .. }), "{error:?}");
    assert_eq!(names(), before, "half a fork is left");
    let messages = files.messages(id, Page::all()).await.unwrap();
    assert_eq!(messages.len(), 1);
}

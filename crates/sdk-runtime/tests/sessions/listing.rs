//! Listing: heads and tails only, whatever lies in the folder.

use std::{fs, os::unix::fs::symlink, time::Duration};

use nix::{sys::stat::Mode, unistd::mkfifo};
use sdk_runtime::sessions::{Page, Project};
use serde_json::json;
use uuid::Uuid;

use crate::files::{Folder, set_modified, user, write};

/// Bytes this process has read so far. Every test has a process of its own.
fn bytes_read() -> u64 {
    procfs::process::Process::myself().unwrap().io().unwrap().rchar
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_transcripts_are_listed_newest_first_from_their_ends_alone() {
    let folder = Folder::new();
    let mut ids = Vec::new();
    for number in 0..5_000 {
        let (id, path) = folder.session(&[user("u", None, &format!("prompt {number}"))]);
        set_modified(&path, number);
        ids.push(id);
    }
    // A terabyte that nobody could read in the time of a test.
    let (huge, path) = folder.session(&[user("u", None, "huge")]);
    let mut title = json!({ "type": "custom-title", "customTitle": "a terabyte" }).to_string();
    title.insert(0, '\n');
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, title.as_bytes(), (1 << 40) - title.len() as u64)
        .unwrap();
    drop(file);
    set_modified(&path, 5_000);
    ids.push(huge);

    let before = bytes_read();
    let listed = folder.files().list(Project::Any, Page::all()).await.unwrap();
    let read = bytes_read() - before;
    assert!(read < 3 << 20, "{read} bytes were read");
    ids.reverse();
    assert_eq!(listed.iter().map(|info| info.session_id).collect::<Vec<_>>(), ids);
    assert_eq!(listed[0].summary, "a terabyte");
    assert_eq!(listed[1].summary, "prompt 4999");

    let before = bytes_read();
    let page = folder.files().list(Project::Any, Page::new(3, 5)).await.unwrap();
    assert_eq!(page, listed[3..8]);
    let read = bytes_read() - before;
    assert!(read < 1 << 20, "{read} bytes were read for a page of five");
}

#[tokio::test]
async fn what_a_listing_says() {
    let folder = Folder::new();
    let (id, path) = folder.session(&[
        json!({ "type": "queue-operation", "operation": "enqueue" }),
        user("u", None, "first prompt"),
        json!({ "type": "ai-title", "aiTitle": "by the model" }),
        json!({ "type": "last-prompt", "lastPrompt": "latest prompt" }),
        json!({ "type": "tag", "tag": "old" }),
        json!({ "type": "tag", "tag": "blue" }),
    ]);
    let info = folder.files().info(id).await.unwrap().unwrap();
    assert_eq!(info.summary, "by the model");
    assert_eq!(info.first_prompt.as_deref(), Some("first prompt"));
    assert_eq!(info.git_branch.as_deref(), Some("main"));
    assert_eq!(info.cwd.as_deref(), Some("/nowhere/demo".as_ref()));
    assert_eq!(info.tag.as_deref(), Some("blue"));
    assert_eq!(info.bytes, Some(fs::metadata(path).unwrap().len()));
    let created = info.created.unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(created, Duration::from_millis(1_767_323_045_678));
    assert!(folder.files().info(Uuid::new_v4()).await.unwrap().is_none());
}

#[tokio::test]
async fn the_last_title_counts_whether_at_the_head_or_at_the_tail() {
    let folder = Folder::new();
    let title = |title: &str| json!({ "type": "custom-title", "customTitle": title });
    let filler = |count: usize| user("f", None, &"x".repeat(count));
    let summary = async |entries: &[serde_json::Value]| {
        let (id, _) = folder.session(entries);
        folder.files().info(id).await.unwrap().unwrap().summary
    };
    assert_eq!(summary(&[title("one"), filler(9), title("two")]).await, "two");
    assert_eq!(summary(&[title("one"), title("two"), filler(200_000)]).await, "two");
    assert_eq!(summary(&[title("one"), filler(200_000), title("two"), title("three")]).await, "three");
    // What a tool was told is no title of the session.
    let mut call = user("u", None, "prompt");
    call["message"]["content"] = json!([{ "type": "text", "text": "prompt", "customTitle": "no" }]);
    assert_eq!(summary(&[call]).await, "prompt");
}

#[tokio::test]
async fn a_first_line_beyond_the_head_still_names_the_session() {
    let folder = Folder::new();
    let text = format!("{}{}", "word ".repeat(60), "x".repeat(500_000));
    let mut entry = user("u", None, &text).to_string();
    // The order in which the CLI writes.
    entry = entry.replacen('{', "{\"type\":\"user\",", 1);
    let (id, path) = folder.session(&[]);
    fs::write(path, format!("{entry}\n")).unwrap();
    let info = folder.files().info(id).await.unwrap().unwrap();
    assert!(info.summary.starts_with("word word"), "{}", info.summary);
    assert_eq!(info.summary.chars().count(), 200);
}

#[tokio::test]
async fn what_does_not_belong_there_is_passed_over() {
    let folder = Folder::new();
    let (good, path) = folder.session(&[]);
    let mut text = b"\xff\xfe plain\n".to_vec();
    text.extend_from_slice(format!("{}\n", user("u", None, "good")).as_bytes());
    text.extend_from_slice(b"{\"type\":\"custom-title\",\"customTitle\":\"torn");
    fs::write(&path, text).unwrap();
    let place = folder.somewhere();
    let named = |id: Uuid| place.join(format!("{id}.jsonl"));
    fs::write(place.join("notes.jsonl"), "{}").unwrap();
    fs::write(place.join("README"), "x").unwrap();
    fs::write(named(Uuid::new_v4()), "").unwrap();
    fs::write(named(Uuid::new_v4()), "{\"type\":\"mode\"}\n").unwrap();
    fs::create_dir(named(Uuid::new_v4())).unwrap();
    mkfifo(&named(Uuid::new_v4()), Mode::S_IRWXU).unwrap();
    let looped = named(Uuid::new_v4());
    symlink(&looped, &looped).unwrap();
    symlink("/nowhere", named(Uuid::new_v4())).unwrap();
    symlink("/dev/zero", named(Uuid::new_v4())).unwrap();
    symlink(folder.folder.path(), place.join("circle")).unwrap();
    let upper = place.join(format!("{}.jsonl", Uuid::new_v4().to_string().to_uppercase()));
    write(&upper, &[user("u", None, "shouted")]);
    let mut side = user("u", None, "side");
    side["isSidechain"] = json!(true);
    folder.session(&[side]);
    let listed = folder.files().list(Project::Any, Page::all()).await.unwrap();
    assert_eq!(listed.iter().map(|info| info.session_id).collect::<Vec<_>>(), [good]);
    assert_eq!(listed[0].summary, "good");
}

#[tokio::test]
async fn a_folder_that_is_not_there_has_no_sessions() {
    let files = sdk_runtime::sessions::SessionFiles::new("/nowhere/at/all");
    assert!(files.list(Project::Any, Page::all()).await.unwrap().is_empty());
    let project = Project::Cwd("/nowhere/demo".into());
    assert!(files.list(project, Page::all()).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_vanish_meanwhile_are_no_error() {
    let folder = Folder::new();
    let mut paths: Vec<_> =
        (0..400).map(|number| folder.session(&[user("u", None, &format!("{number}"))]).1).collect();
    let (kept, _) = folder.session(&[user("u", None, "kept")]);
    let remover = std::thread::spawn(move || {
        while let Some(path) = paths.pop() {
            fs::remove_file(path).unwrap();
        }
    });
    while !remover.is_finished() {
        let listed = folder.files().list(Project::Any, Page::all()).await.unwrap();
        assert!(listed.iter().any(|info| info.session_id == kept));
    }
    remover.join().unwrap();
    let listed = folder.files().list(Project::Any, Page::all()).await.unwrap();
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn a_project_is_its_folder_and_its_worktrees() {
    let folder = Folder::new();
    let repository = tempfile::tempdir().unwrap();
    let path = |name: &str| repository.path().join(name);
    let git_dir = path("main/.git/worktrees/side");
    fs::create_dir_all(&git_dir).unwrap();
    fs::create_dir_all(path("side")).unwrap();
    fs::create_dir_all(path("main-other")).unwrap();
    fs::write(git_dir.join("gitdir"), path("side/.git").to_str().unwrap()).unwrap();
    fs::write(git_dir.join("commondir"), "../..").unwrap();
    let session = |cwd: &str| {
        let id = Uuid::new_v4();
        write(&folder.project(&path(cwd)).join(format!("{id}.jsonl")), &[user("u", None, cwd)]);
        id
    };
    let (main, side, _other) = (session("main"), session("side"), session("main-other"));
    let listed = async |project: Project| {
        let listed = folder.files().list(project, Page::all()).await.unwrap();
        let mut ids: Vec<Uuid> = listed.into_iter().map(|info| info.session_id).collect();
        ids.sort();
        ids
    };
    let mut both = [main, side];
    both.sort();
    assert_eq!(listed(Project::Cwd(path("main"))).await, both);
    assert_eq!(listed(Project::OnlyCwd(path("main"))).await, [main]);
    let files = folder.files().in_project(path("main").as_path());
    assert!(files.info(side).await.unwrap().is_some());
    let files = folder.files().in_project(Project::OnlyCwd(path("main")));
    assert!(files.info(side).await.unwrap().is_none());
}

#[tokio::test]
async fn a_session_in_two_projects_is_listed_once_as_it_was_last() {
    let folder = Folder::new();
    let (id, old) = folder.session(&[user("u", None, "old")]);
    let new = folder.project("/nowhere/other".as_ref()).join(old.file_name().unwrap());
    write(&new, &[user("u", None, "new")]);
    set_modified(&old, 1);
    set_modified(&new, 2);
    let listed = folder.files().list(Project::Any, Page::all()).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].session_id, listed[0].summary.as_str()), (id, "new"));
}

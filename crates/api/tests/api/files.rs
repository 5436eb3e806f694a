//! The working directory from outside.

use crate::world::World;
use domain::{Access, Caller, Credential, FamilyId, Role, Source};
use engine::files::DOWNLOADS_MAX;
use insta::assert_snapshot;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, io::Read, os::unix::fs::symlink, path::PathBuf};

/// A session with some files, good and bad, and its address.
async fn populated(world: &World) -> String {
    let session = world.session().await;
    let path = format!("/api/v1/sessions/{session}");
    let directory =
        world.alice.get(&path).await.json()["working_directory"].as_str().map(PathBuf::from).unwrap();
    std::fs::create_dir(directory.join("src")).unwrap();
    std::fs::write(directory.join("src/main.rs"), "fn main() {}").unwrap();
    std::fs::write(directory.join("page.html"), "<script>alert(1)</script>").unwrap();
    std::fs::write(world.directory().join("secret"), "secret").unwrap();
    symlink(world.directory().join("secret"), directory.join("escape")).unwrap();
    path
}

#[actix_web::test]
async fn files_are_listed_and_read() {
    let world = World::new().await;
    let session = populated(&world).await;
    let mut listing = world.alice.get(&format!("{session}/files")).await.json();
    for item in listing["items"].as_array_mut().unwrap() {
        assert!(item["modified_at"].is_string());
        item["modified_at"] = json!("[time]");
        if item["kind"] != "file" {
            continue;
        }
        let path = item["path"].as_str().unwrap();
        let content = world.alice.get(&format!("{session}/files/content?path={path}")).await;
        assert_eq!(json!(content.body.len()), item["size_bytes"], "{path}");
    }
    assert_snapshot!("listing", format!("{listing:#}"));
    // Whatever an agent wrote, no browser runs it as ours.
    let page = world.alice.get(&format!("{session}/files/content?path=page.html")).await;
    assert_snapshot!("file", page.shown());
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert!(page.header("content-security-policy").contains("sandbox"));
}

#[actix_web::test]
async fn nothing_outside_is_read() {
    let world = World::new().await;
    let session = populated(&world).await;
    let absolute = world.directory().join("secret").display().to_string();
    for path in
        ["../../../secret", "escape", "src/../../x", "src", "nothing", &absolute, "/etc/passwd", "a%00b"]
    {
        let received = world.alice.get(&format!("{session}/files/content?path={path}")).await;
        assert_eq!((received.status, received.error_code().as_str()), (404, "FILE_NOT_FOUND"), "{path}");
    }
}

#[actix_web::test]
async fn the_whole_directory_is_one_archive() {
    let world = World::new().await;
    let session = populated(&world).await;
    let archive = world.alice.get(&format!("{session}/workdir/download")).await;
    assert_eq!((archive.status, archive.header("content-type")), (200, "application/gzip"));
    assert!(archive.header("content-disposition").starts_with("attachment; filename=\"session-"));
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(&archive.body[..])).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.insert(entry.path().unwrap().display().to_string(), text);
    }
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["escape", "page.html", "src/", "src/main.rs"]);
    assert_eq!(files["src/main.rs"], "fn main() {}");
    assert_eq!(files["escape"], "", "a link goes along as a link");
}

#[actix_web::test]
async fn whoever_comes_when_as_many_are_downloaded_as_may_comes_again() {
    let world = World::new().await;
    let session = populated(&world).await;
    let described = world.alice.get(&session).await.json();
    let directory = PathBuf::from(described["working_directory"].as_str().unwrap());
    // More than waits for a reader, and not to be packed into less.
    let noise: Vec<u8> = (0_u64..1 << 16).flat_map(|n| Sha256::digest(n.to_be_bytes())).collect();
    std::fs::write(directory.join("big"), noise).unwrap();
    let caller = Caller {
        user_id: described["user_id"].as_str().unwrap().parse().unwrap(),
        role: Role::Member,
        access: Access::WRITE,
        credential: Credential::Login(FamilyId::new()),
        source: Source::default(),
    };
    let id = described["id"].as_str().unwrap().parse().unwrap();
    let mut unread = vec![];
    for _ in 0..DOWNLOADS_MAX {
        unread.push(world.state.sessions.archive_files(&caller, id).await.unwrap());
    }
    let refused = world.alice.get(&format!("{session}/workdir/download")).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "DOWNLOADS_BUSY"));
    assert_eq!(refused.header("retry-after"), "5");
}

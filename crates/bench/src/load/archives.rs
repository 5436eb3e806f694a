//! Archives that go in and out over HTTP, several at a time.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use super::resident;
use crate::{connection::Connection, figures::Sample, report::Row, scale::Scale, steward::Steward};

const AT_ONCE: usize = 4;
const FILES: usize = 64;

pub(super) async fn measure(
    database: &str,
    server: &Steward,
    login: &str,
    scale: &Scale,
) -> Result<Vec<Row>> {
    let mut going = JoinSet::new();
    for _ in 0..AT_ONCE {
        let connection = server.connect(login).await?;
        going.spawn(there_and_back(connection, scale.load_archive_bytes));
    }
    let (mut stored, mut downloaded) = (Sample::default(), Sample::default());
    while let Some(times) = going.join_next().await {
        let (store, download) = times??;
        stored.push(store);
        downloaded.push(download);
    }
    let mib = scale.load_archive_bytes >> 20;
    let how = format!("{AT_ONCE} at a time, {mib} MiB in {FILES} files each, gzip, the local disk; medians");
    let row = |what: &str, unit, figure| Row::new(format!("load, {database}, {what}"), unit, figure, &how);
    Ok(vec![
        row("archive a session", "s", stored.median()),
        row("download an archive", "s", downloaded.median()),
        row("memory after archives", "MiB", resident(server)?),
    ])
}

/// How long storing and downloading took, in seconds.
async fn there_and_back(mut connection: Connection, bytes: u64) -> Result<(f64, f64)> {
    let session = connection.post("/api/v1/sessions", &json!({ "name": "archived under load" })).await?;
    let path = format!("/api/v1/sessions/{}", session["id"].as_str().context("a session has an id")?);
    let folder = PathBuf::from(session["working_directory"].as_str().context("a session has a directory")?);
    tokio::task::spawn_blocking(move || write_files(&folder, bytes)).await??;
    let began = Instant::now();
    let archive = connection.post(&format!("{path}/archive"), &json!({ "compression": "gzip" })).await?;
    ensure!(archive["status"] == "completed", "it was not archived: {archive}");
    let stored = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let download = format!("{path}/archive/download");
    let (status, body) = connection.send(Method::GET, &download, Bytes::new()).await?;
    ensure!(status == StatusCode::OK, "the download was answered with {status}");
    ensure!(Some(body.len() as u64) == archive["size_bytes"].as_u64(), "the download is cut short");
    Ok((stored, began.elapsed().as_secs_f64()))
}

/// Half of what is in them can be compressed.
fn write_files(folder: &Path, bytes: u64) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut random = 1_u64;
    for file in 0..FILES {
        let content: Vec<u8> = (0..bytes / FILES as u64)
            .map(|place| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                if place % 2 == 0 { b'a' } else { random as u8 }
            })
            .collect();
        fs::write(folder.join(format!("{file}.bin")), content)?;
    }
    Ok(())
}

//! The server under load over a full database: mixed requests, archives that go in and out, many watchers.
//!
//! Requests come at a fixed rate however long answers take, and each is timed from when it was due: a server that stalls is
//! charged for everybody who would have come meanwhile.

mod archives;
mod fill;
mod mixed;
mod watchers;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use http::{Method, StatusCode};
use sea_orm::{ConnectionTrait, Database};
use serde_json::Value;

use crate::{
    connection::Connection,
    process::memory,
    report::Row,
    scale::Scale,
    steward::{Model, Steward},
    tools::Tools,
};

/// Every endpoint that does not wait for an agent.
const P99_TARGET_MS: f64 = 20.0;
const DELIVERY_TARGET_MS: f64 = 10.0;
/// Caches that fill are not growth.
const GROWTH_TARGET_MIB: f64 = 16.0;

/// Where the data of a server under load is.
struct Kept {
    name: &'static str,
    folder: PathBuf,
    url: String,
}

/// What the server is loaded with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// Mixed requests, and archives after them.
    Requests,
    Watchers,
}

pub(crate) async fn measure(
    load: Load,
    tools: &Tools,
    scale: &Scale,
    problems: &mut Vec<String>,
) -> Result<Vec<Row>> {
    let folder = tools.new_folder(&format!("{load:?}-sqlite"))?;
    let url = format!("sqlite://{}/steward.db", folder.display());
    let mut rows = on(&Kept { name: "SQLite", folder, url }, load, tools, scale).await?;
    match &tools.postgres {
        None => problems.push("load on PostgreSQL: there is none to measure".to_owned()),
        Some(cluster) => {
            let url = new_database(cluster, load).await?;
            let folder = tools.new_folder(&format!("{load:?}-postgres"))?;
            rows.extend(on(&Kept { name: "PostgreSQL", folder, url }, load, tools, scale).await?);
        }
    }
    Ok(rows)
}

/// A database beside the one that others fill.
async fn new_database(cluster: &str, load: Load) -> Result<String> {
    let name = format!("steward_{load:?}").to_lowercase();
    let db = Database::connect(cluster).await.context("failed to connect to PostgreSQL")?;
    db.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
    db.close().await?;
    let (server, _) = cluster.rsplit_once('/').context("the address of a database ends with its name")?;
    Ok(format!("{server}/{name}"))
}

async fn on(kept: &Kept, load: Load, tools: &Tools, scale: &Scale) -> Result<Vec<Row>> {
    let model = Model::start(tools)?;
    let agents = watchers::SESSIONS.to_string();
    let settings =
        [("DATABASE_URL", kept.url.as_str()), ("MAX_CONCURRENT_INTERACTIVE_SESSIONS", agents.as_str())];
    let start = || Steward::start_with(tools, &kept.folder, &model.url(), &settings);
    // Makes the tables and their owner.
    let server = start()?;
    let me = read(&mut server.connect(&server.log_in().await?).await?, "/api/v1/auth/me").await?;
    server.stop()?;
    fill::fill(&kept.url, me["id"].as_str().context("a user has an id")?, scale).await?;

    let server = start()?;
    let login = server.log_in().await?;
    let rows = match load {
        Load::Requests => {
            let mut rows = mixed::measure(kept.name, &server, &login, scale).await?;
            rows.extend(archives::measure(kept.name, &server, &login, scale).await?);
            rows
        }
        Load::Watchers => watchers::measure(kept.name, &server, &login, scale).await?,
    };
    server.stop()?;
    Ok(rows)
}

/// GETs JSON.
async fn read(connection: &mut Connection, path: &str) -> Result<Value> {
    let (status, answer) = connection.send(Method::GET, path, bytes::Bytes::new()).await?;
    anyhow::ensure!(status == StatusCode::OK, "GET {path} was answered with {status}");
    Ok(serde_json::from_slice(&answer)?)
}

fn resident(server: &Steward) -> Result<f64> {
    Ok(memory(server.id())?.resident)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

//! The server under load: mixed requests over a full database, many watchers, archives going in and out.
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
const POSTGRES_DATABASE: &str = "steward_load";

/// Where the data of a server under load is.
struct Kept {
    name: &'static str,
    folder: PathBuf,
    url: String,
}

pub(crate) async fn measure(tools: &Tools, scale: &Scale, problems: &mut Vec<String>) -> Result<Vec<Row>> {
    let folder = tools.new_folder("load-sqlite")?;
    let url = format!("sqlite://{}/steward.db", folder.display());
    let mut rows = on(&Kept { name: "SQLite", folder, url }, tools, scale).await?;
    match &tools.postgres {
        None => problems.push("load on PostgreSQL: there is none to measure".to_owned()),
        Some(cluster) => {
            let url = new_database(cluster).await?;
            let kept = Kept { name: "PostgreSQL", folder: tools.new_folder("load-postgres")?, url };
            rows.extend(on(&kept, tools, scale).await?);
        }
    }
    Ok(rows)
}

/// A database beside the one that others fill.
async fn new_database(cluster: &str) -> Result<String> {
    let db = Database::connect(cluster).await.context("failed to connect to PostgreSQL")?;
    db.execute_unprepared(&format!("CREATE DATABASE {POSTGRES_DATABASE}")).await?;
    db.close().await?;
    let (server, _) = cluster.rsplit_once('/').context("the address of a database ends with its name")?;
    Ok(format!("{server}/{POSTGRES_DATABASE}"))
}

async fn on(kept: &Kept, tools: &Tools, scale: &Scale) -> Result<Vec<Row>> {
    let model = Model::start(tools)?;
    let settings = [("DATABASE_URL", kept.url.as_str())];
    let start = || Steward::start_with(tools, &kept.folder, &model.url(), &settings);
    // Makes the tables and their owner.
    let server = start()?;
    let me = read(&mut server.connect(&server.log_in().await?).await?, "/api/v1/auth/me").await?;
    server.stop()?;
    fill::fill(&kept.url, me["id"].as_str().context("a user has an id")?, scale).await?;

    let server = start()?;
    let login = server.log_in().await?;
    let mut rows = mixed::measure(kept.name, &server, &login, scale).await?;
    rows.extend(watchers::measure(kept.name, &server, &login, scale).await?);
    rows.extend(archives::measure(kept.name, &server, &login, scale).await?);
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

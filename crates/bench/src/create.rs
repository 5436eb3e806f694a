//! Creating sessions, beside inserting the same rows without anything around it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use rusqlite::{Connection as Sqlite, params_from_iter, types::Value as Column};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    connection::Connection,
    figures::Sample,
    report::Row,
    scale::Scale,
    steward::{Model, Steward, create_session},
    tools::Tools,
};

const CONNECTIONS: usize = 8;
const PATH: &str = "/api/v1/sessions";
const P50_TARGET_MS: f64 = 5.0;
const PER_SECOND_TARGET: f64 = 1_500.0;

/// How long each took, and how many a second there were in each round.
#[derive(Debug, Default)]
struct Pace {
    times: Sample,
    per_second: Sample,
}

pub(crate) async fn measure(tools: &Tools, scale: &Scale) -> Result<Vec<Row>> {
    let model = Model::start(tools)?;
    let server = Steward::start(tools, &tools.new_folder("create")?, &model.url())?;
    let login = server.log_in().await?;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = server.connect(&login).await?;
        create_session(&mut connection, &wanted()).await?;
        connections.push(connection);
    }
    let mut raw = RawTable::copy_of(&server, tools)?;
    let (mut ours, mut alone, mut theirs) = (Pace::default(), Pace::default(), Pace::default());
    for _ in 0..scale.create_rounds {
        connections = create(connections, scale.creates, &mut ours).await?;
        let others = connections.split_off(1);
        connections = create(connections, scale.creates / CONNECTIONS, &mut alone).await?;
        connections.extend(others);
        raw.insert(scale.creates, &mut theirs)?;
    }
    drop(connections);
    server.stop()?;
    Ok(rows(scale, &ours, &alone, &theirs))
}

fn rows(scale: &Scale, ours: &Pace, alone: &Pace, theirs: &Pace) -> Vec<Row> {
    let beside = "raw INSERT of the same row, same schema, one connection";
    let how = format!(
        "{} rounds of {} each, by turns; WAL, synchronous NORMAL",
        scale.create_rounds, scale.creates
    );
    let time = |what: &str, pace: &Pace, percent| {
        Row::new(format!("create session, {what}"), "ms", pace.times.percentile(percent), &how)
            .beside(beside, theirs.times.percentile(percent))
    };
    let per_second =
        Row::new("create session, throughput, 8 connections", "/s", ours.per_second.median(), &how);
    vec![
        time("p50, 8 connections", ours, 50.0).at_most(P50_TARGET_MS),
        time("p99, 8 connections", ours, 99.0),
        time("p50, 1 connection", alone, 50.0),
        per_second
            .beside(beside, theirs.per_second.median())
            .at_ratio(ours.per_second.over(&theirs.per_second).median())
            .at_least(PER_SECOND_TARGET),
    ]
}

fn wanted() -> Value {
    json!({
        "name": "a session of the benchmark",
        "description": "created to be counted",
        "allowed_tools": ["Read", "Bash(git log:*)"],
        "system_prompt": "You are a careful engineer.",
        "metadata": {"team": "bench", "ticket": 4711},
    })
}

/// Creates `count` sessions over these connections, each connection one after the other.
async fn create(connections: Vec<Connection>, count: usize, pace: &mut Pace) -> Result<Vec<Connection>> {
    let each = count / connections.len().max(1);
    let created = each * connections.len();
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for mut connection in connections {
        tasks.spawn(async move {
            let body = bytes::Bytes::from(wanted().to_string());
            let mut times = Sample::default();
            for _ in 0..each {
                let asked = Instant::now();
                let (status, answer) = connection.send(Method::POST, PATH, body.clone()).await?;
                times.push_time(asked.elapsed());
                let said = || format!("{status}: {}", String::from_utf8_lossy(&answer));
                ensure!(status == StatusCode::CREATED, "a session was not created: {}", said());
            }
            Ok((connection, times))
        });
    }
    let mut connections = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let (connection, times) = ended??;
        connections.push(connection);
        pace.times.extend(times);
    }
    pace.per_second.push(created as f64 / started.elapsed().as_secs_f64());
    Ok(connections)
}

/// A copy of the server's own database, so that schema, indexes and row are the same whatever they become.
#[derive(Debug)]
struct RawTable {
    database: Sqlite,
    insert: String,
    /// A row the server has written, and where its id and its times are.
    row: Vec<Column>,
    id: usize,
    times: Vec<usize>,
}

impl RawTable {
    fn copy_of(server: &Steward, tools: &Tools) -> Result<Self> {
        let copy = tools.folder.join("raw.db");
        let file = server.data.join("steward.db");
        let original = Sqlite::open(&file).with_context(|| format!("failed to open {}", file.display()))?;
        original
            .execute("VACUUM INTO ?1", [copy.to_string_lossy()])
            .context("failed to copy the database")?;
        let database = Sqlite::open(&copy)?;
        database.busy_timeout(Duration::from_secs(5))?;
        for (name, value) in [
            ("journal_mode", "WAL"),
            ("synchronous", "NORMAL"),
            ("foreign_keys", "ON"),
            ("cache_size", "-4096"),
            ("temp_store", "MEMORY"),
        ] {
            database.pragma_update(None, name, value)?;
        }
        let (names, row) = first_row(&database)?;
        let place = |wanted: &str| names.iter().position(|name| name == wanted);
        let marks = vec!["?"; names.len()].join(", ");
        let insert = format!("INSERT INTO sessions ({}) VALUES ({marks})", names.join(", "));
        let id = place("id").context("a session has an id")?;
        let times = ["created_at", "updated_at"].into_iter().filter_map(place).collect();
        Ok(Self { database, insert, row, id, times })
    }

    /// Inserts `count` rows, a transaction each, as the server does.
    fn insert(&mut self, count: usize, pace: &mut Pace) -> Result<()> {
        let mut statement = self.database.prepare(&self.insert)?;
        let started = Instant::now();
        for _ in 0..count {
            let id = Uuid::now_v7();
            self.row[self.id] = match &self.row[self.id] {
                Column::Blob(_) => Column::Blob(id.as_bytes().to_vec()),
                _ => Column::Text(id.to_string()),
            };
            for place in &self.times {
                if let Column::Integer(time) = &mut self.row[*place] {
                    *time += 1;
                }
            }
            let asked = Instant::now();
            statement.execute(params_from_iter(&self.row))?;
            pace.times.push_time(asked.elapsed());
        }
        pace.per_second.push(count as f64 / started.elapsed().as_secs_f64());
        Ok(())
    }
}

fn first_row(database: &Sqlite) -> Result<(Vec<String>, Vec<Column>)> {
    let mut statement = database.prepare("SELECT * FROM sessions LIMIT 1")?;
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let row = statement.query_row([], |row| (0..names.len()).map(|place| row.get(place)).collect())?;
    Ok((names, row))
}

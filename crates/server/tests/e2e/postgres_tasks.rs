//! Servers of several roles on one PostgreSQL, killed at random: nothing is lost and nothing is done twice.

use crate::{
    keyed::Persistent,
    tasks::{Queue, SETTINGS, marks},
    world::{World, eventually},
};
use domain::ExecutionStatus;
use rand::{RngExt as _, seq::SliceRandom as _};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use testkit::PostgresDatabase;
use tokio::task::JoinSet;

/// How often a server is killed, unless the environment says otherwise.
const KILLS: usize = 6;
/// Executions that wait or run at a time.
const LOAD: usize = 4;
/// The server with the API among those that are killed.
const API: usize = 0;
/// An agent that leaves a mark, and takes its time before and after.
const MARKING: &str = r#"[[first:{{ before }}]][[tool:Bash {"command":"echo {{ mark }} >> ran.txt"}]][[next]][[first:{{ after }}]][[text:Marked.]]"#;
/// The API stays so long between what it did and keeping its answer, so that it is often killed there.
const SLOW_TO_KEEP: (&str, &str) = ("FAILPOINTS", "answer.before_kept=sleep(200)");

/// A database for servers of one test, and the model that they all ask.
pub struct Postgres {
    database: PostgresDatabase,
    model: offline_model::Server,
}

impl Postgres {
    pub async fn start() -> Self {
        let model = offline_model::Server::start(offline_model::Options::default()).await.unwrap();
        Self { database: PostgresDatabase::create().await, model }
    }

    pub fn url(&self) -> &str {
        self.database.url()
    }

    pub async fn server(&self, role: &str) -> World {
        self.server_with(role, &[]).await
    }

    /// With settings beside those.
    pub async fn server_with(&self, role: &str, more: &[(&str, &str)]) -> World {
        let mut settings = SETTINGS.to_vec();
        let model = self.model.url();
        settings.extend([
            ("DATABASE_URL", self.url()),
            ("ANTHROPIC_UPSTREAM_URL", model.as_str()),
            ("SERVER_ROLE", role),
            ("MAX_CONCURRENT_BACKGROUND_SESSIONS", "2"),
        ]);
        settings.extend(more);
        World::with(&settings).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_killed_at_random_and_nothing_is_lost_or_done_twice() {
    let kills = std::env::var_os("STEWARD_TEST_KILLS");
    let kills = kills.map_or(KILLS, |count| count.to_str().unwrap().parse().unwrap());
    let postgres = Postgres::start().await;
    let mut worlds = [
        postgres.server_with("api", &[SLOW_TO_KEEP]).await,
        postgres.server("worker").await,
        postgres.server("worker").await,
    ];
    let queue = Queue::of(postgres.url()).await;
    let task = queue.task(MARKING, 100).await.id;
    let (client, moved) = Persistent::of(&worlds[API]).await;
    let mut asked = JoinSet::new();
    let mut marked = 0;
    // Each of them once, and then any.
    let mut first: Vec<usize> = (0..worlds.len()).collect();
    first.shuffle(&mut rand::rng());
    for round in 0..kills {
        let victim = first.pop().unwrap_or_else(|| rand::rng().random_range(0..worlds.len()));
        let open = queue.runs(task).await.iter().filter(|run| !run.status.is_over()).count();
        for _ in open.min(LOAD - 1)..LOAD {
            let mark = format!("mark-{marked}");
            marked += 1;
            // Some are killed before they act, some after.
            let (before, after) = (rand::rng().random_range(0..1500), rand::rng().random_range(0..1500));
            let variables = json!({ "mark": mark, "before": before, "after": after });
            let client = client.clone();
            asked.spawn(async move { (mark.clone(), client.execute(task, mark, variables).await) });
        }
        // The API has most to lose while it is asked, a worker while an agent acts.
        let wait = if victim == API { 0..400 } else { 200..2500 };
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(wait))).await;
        worlds[victim].kill().await;
        worlds[victim].launch().await;
        let admin = worlds[API].admin().await;
        assert_eq!(admin.get("/sessions?limit=1").await.status, 200, "round {round}");
        moved.send_replace(admin.url);
    }

    let told: BTreeMap<_, _> = asked.join_all().await.into_iter().collect();
    assert_eq!(told.len(), marked, "everybody was told what came of it");
    eventually("all of them are over", async || {
        queue.runs(task).await.iter().all(|run| run.status.is_over()).then_some(())
    })
    .await;
    let runs = queue.runs(task).await;
    let mut counts = BTreeMap::<&str, usize>::new();
    for (mark, id) in &told {
        let of_mark: Vec<_> = runs.iter().filter(|run| run.variables["mark"] == mark.as_str()).collect();
        let [run] = of_mark[..] else { panic!("{mark} was asked for once and is there as {of_mark:?}") };
        assert_eq!(run.id, *id, "{mark}");
        *counts.entry(run.status.as_str()).or_default() += 1;
        let left = marks(&[&worlds[0], &worlds[1], &worlds[2]]).get(mark).copied().unwrap_or_default();
        match run.status {
            ExecutionStatus::Completed => assert_eq!(left, 1, "{mark}: {run:?}"),
            ExecutionStatus::OutcomeUnknown => {
                assert!(left <= 1, "{mark}: {run:?}");
                assert_eq!(run.error.as_ref().unwrap().code, "WORKER_LOST");
            }
            status => panic!("{mark} is {status:?}: {run:?}"),
        }
    }
    assert_eq!(runs.len(), marked, "nothing is there that nobody asked for");
    println!("{kills} kills, {marked} executions: {counts:?}");
}

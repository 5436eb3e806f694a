//! Servers of several roles on one PostgreSQL, killed at random: nothing is lost and nothing is done twice.

use crate::{
    tasks::{Queue, SETTINGS, marking, marks},
    world::{World, eventually},
};
use domain::ExecutionStatus;
use rand::RngExt as _;
use std::time::Duration;
use testkit::PostgresDatabase;

/// How often a server is killed, unless the environment says otherwise.
const KILLS: usize = 6;
/// Executions that wait or run at a time.
const LOAD: usize = 4;

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
        let mut settings = SETTINGS.to_vec();
        let model = self.model.url();
        settings.extend([
            ("DATABASE_URL", self.url()),
            ("ANTHROPIC_UPSTREAM_URL", model.as_str()),
            ("SERVER_ROLE", role),
            ("MAX_CONCURRENT_BACKGROUND_SESSIONS", "2"),
        ]);
        World::with(&settings).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_killed_at_random_and_nothing_is_lost_or_done_twice() {
    let kills = std::env::var_os("STEWARD_TEST_KILLS");
    let kills = kills.map_or(KILLS, |count| count.to_str().unwrap().parse().unwrap());
    let postgres = Postgres::start().await;
    let mut worlds =
        [postgres.server("api").await, postgres.server("worker").await, postgres.server("worker").await];
    let queue = Queue::of(postgres.url()).await;
    let mut queued = vec![];
    for round in 0..kills {
        let mut open = 0;
        for execution in &queued {
            open += usize::from(!queue.look(execution).await.status.is_over());
        }
        for _ in open..LOAD {
            let mark = format!("mark-{}", queued.len());
            // Some are killed before they act, some after.
            let (before, after) = (rand::rng().random_range(0..1500), rand::rng().random_range(0..1500));
            queued.push(queue.add(&marking(&mark, before, after), 100).await);
        }
        let victim = rand::rng().random_range(0..worlds.len());
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(200..2500))).await;
        worlds[victim].kill().await;
        worlds[victim].launch().await;
        let admin = worlds[0].admin().await;
        assert_eq!(admin.get("/sessions?limit=1").await.status, 200, "round {round}");
    }
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for (index, execution) in queued.iter().enumerate() {
        let over = eventually("nothing is lost", async || {
            let now = queue.look(execution).await;
            now.status.is_over().then_some(now)
        })
        .await;
        *counts.entry(over.status.as_str()).or_default() += 1;
        let mark = format!("mark-{index}");
        let left = marks(&[&worlds[0], &worlds[1], &worlds[2]]).get(&mark).copied().unwrap_or_default();
        match over.status {
            ExecutionStatus::Completed => assert_eq!(left, 1, "{mark}: {over:?}"),
            ExecutionStatus::OutcomeUnknown => {
                assert!(left <= 1, "{mark}: {over:?}");
                assert_eq!(over.error.as_ref().unwrap().code, "WORKER_LOST");
            }
            status => panic!("{mark} is {status:?}: {over:?}"),
        }
    }
    println!("{kills} kills, {} executions: {counts:?}", queued.len());
}

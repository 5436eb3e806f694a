//! The same server on PostgreSQL, and what becomes of it when that goes away and comes back.

use crate::world::{World, eventually, signal};
use reqwest::Method;
use serde_json::json;
use std::{env, path::PathBuf, process::Stdio};
use testkit::PostgresDatabase;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_through_restarts_and_leaves_nothing_when_it_is_purged() {
    let own = PostgresDatabase::create().await;
    let mut world = World::with(&[("DATABASE_URL", own.url())]).await;
    let user = world.admin().await;
    let session = user.session(json!({ "name": "first", "allowed_tools": ["Bash"] })).await;
    let prompt = r#"remember the lighthouse [[tool:Bash {"command":"echo hi"}]][[next]][[text:done]]"#;
    let answer = user.query(&session, prompt).await.ok();
    assert_eq!(answer["tool_calls"][0]["status"], "completed", "{answer}");
    assert!(answer["metrics"]["cost_usd"].as_f64().unwrap() > 0.0, "{answer}");
    world.stop().await;
    assert!(!world.data_dir().join("steward.db").exists(), "the data is in PostgreSQL");

    world.launch().await;
    let user = world.admin().await;
    let answer = user.ask(&session, "[[recall]]").await;
    assert!(answer.contains("lighthouse"), "{answer}");
    let listed = user.get("/sessions").await.ok();
    assert_eq!((listed["total"].as_u64(), listed.get("total_is_lower_bound")), (Some(1), None));

    assert_eq!(user.delete(&format!("{session}?purge=true")).await.status, 204);
    user.get(&session).await.problem(404, "SESSION_NOT_FOUND");
    assert_eq!(user.get("/sessions").await.ok()["total"], 0);
    let log = user.get("/admin/audit-log?action=session.").await.ok();
    let last = log.as_array().unwrap().last().unwrap();
    assert_eq!(last["action"], "session.purged", "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_out_a_restart_of_the_database_and_a_turn_in_it_ends_honestly() {
    let cluster = Cluster::start().await;
    let world = World::with(&[("DATABASE_URL", &cluster.url())]).await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.ask(&session, "remember the windmill").await;
    let stuck = r#"[[text:starting]][[tool:Bash {"command":"tail -f /dev/null","timeout":600000}]]"#;
    let turn = user.query_async(&session, stuck).await;
    let tail = eventually("the tool runs", async || {
        let mut processes = world.agent_processes().into_iter();
        processes.find(|(_, command)| command.starts_with("tail -f")).map(|(pid, _)| pid)
    })
    .await;

    cluster.run(&["pg_ctl", "stop", "--wait", "--mode=fast"]).await;
    eventually("requests are turned away", async || {
        let request = user.request(Method::GET, &session).send().await.unwrap();
        let (status, retry) = (request.status(), request.headers().get("retry-after").cloned());
        (status == 503 && retry.is_some()).then_some(())
    })
    .await;
    // The agent goes on meanwhile, and what it does cannot be recorded.
    signal(tail, "KILL");
    cluster.run(&["pg_ctl", "start", "--wait", "--log=log"]).await;

    eventually("requests are answered again", async || {
        (user.get(&session).await.status == 200).then_some(())
    })
    .await;
    let over = user.turn_over(&turn).await;
    assert_ne!(over["status"], "running", "{over}");
    let answer = eventually("the next prompt is taken", async || {
        let answer = user.query(&session, "[[recall]]").await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    let answer = answer.ok();
    assert!(answer["content"]["text"].as_str().unwrap().contains("windmill"), "{answer}");
}

/// A PostgreSQL that may be stopped, because nobody else is on it.
pub struct Cluster {
    runner: PathBuf,
    folder: PathBuf,
}

impl Cluster {
    pub async fn start() -> Self {
        let runner = env::var_os("STEWARD_TEST_POSTGRES_RUN");
        let Some(runner) = runner.map(PathBuf::from) else {
            panic!("STEWARD_TEST_POSTGRES_RUN is not set: run cargo xtask test");
        };
        let folder = runner.parent().unwrap().join(std::process::id().to_string());
        let cluster = Self { runner, folder };
        cluster.run(&["initdb", "--username=steward", "--auth=trust", "--locale=C", "--no-sync"]).await;
        let socket = cluster.folder.display();
        let conf = cluster.folder.join("postgresql.conf");
        let mut text = std::fs::read_to_string(&conf).unwrap();
        text.push_str(&format!(
            "\nlisten_addresses = ''\nunix_socket_directories = '{socket}'\nfsync = off\n"
        ));
        std::fs::write(&conf, text).unwrap();
        cluster.run(&["pg_ctl", "start", "--wait", "--log=log"]).await;
        cluster
    }

    /// The processes of it, as long as they are what they are now.
    pub fn processes(&self) -> Vec<u32> {
        let file = std::fs::read_to_string(self.folder.join("postmaster.pid")).unwrap();
        let first: u32 = file.lines().next().unwrap().trim().parse().unwrap();
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
        std::iter::once(first).chain(children.split_whitespace().map(|pid| pid.parse().unwrap())).collect()
    }

    pub fn url(&self) -> String {
        format!("postgres://steward@{}/postgres", self.folder.display().to_string().replace('/', "%2F"))
    }

    async fn run(&self, command: &[&str]) {
        assert!(self.command(command).status().await.unwrap().success(), "{command:?}");
    }

    fn command(&self, command: &[&str]) -> tokio::process::Command {
        #[expect(clippy::disallowed_methods, reason = "the database is a process of its own")]
        let mut process = tokio::process::Command::new(&self.runner);
        process.args(command).arg("--pgdata").arg(&self.folder).current_dir(self.runner.parent().unwrap());
        process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        process
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stopped = self.command(&["pg_ctl", "stop", "--wait", "--mode=immediate"]).into_std().status();
        let removed = std::fs::remove_dir_all(&self.folder);
        assert!(stopped.is_ok_and(|status| status.success()) && removed.is_ok() || std::thread::panicking());
    }
}

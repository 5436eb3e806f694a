//! Two servers on one store, each with a data folder of its own: one runs a session, whoever is asked.

use crate::{
    approvals::{answer, asked, runs},
    client::{Client, send},
    crash::journalled,
    world::{World, eventually, signal},
};
use reqwest::Method;
use serde_json::{Value, json};

/// A turn that sits in a tool until somebody ends it.
const STUCK: &str = r#"[[tool:Bash {"command":"tail -f /dev/null","timeout":600000}]]"#;
/// As short as may be, so that a server that is gone is not waited for long.
const SHORT: &str = "3";
/// Longer than any test.
pub const LONG: &str = "600";

/// Two servers and a person at each.
pub struct Two {
    pub first: World,
    pub second: World,
    pub at_first: Client,
    pub at_second: Client,
}

impl Two {
    /// With leases of so many seconds.
    async fn start(lease: &str) -> Self {
        Self::with(lease, &[]).await
    }

    /// The same with settings of both.
    pub async fn with(lease: &str, settings: &[(&str, &str)]) -> Self {
        let usual = [
            ("SECRET_KEY", "a key of both servers, long enough"),
            ("SERVER_LEASE_SECONDS", lease),
            ("SHUTDOWN_GRACE_SECONDS", "0"),
        ];
        let shared = [&usual[..], settings].concat();
        let first = World::with(&shared).await;
        let given = settings.iter().find(|(name, _)| *name == "DATABASE_URL");
        let database = given.map_or_else(|| first.database_url(), |(_, url)| (*url).to_owned());
        let model = first.model.url();
        let second = [("DATABASE_URL", database.as_str()), ("ANTHROPIC_UPSTREAM_URL", model.as_str())];
        let second = World::with(&[&shared[..], &second].concat()).await;
        let (at_first, at_second) = (first.admin().await, second.admin().await);
        let this = Self { first, second, at_first, at_second };
        // The first one was there before and has to notice.
        eventually("both know of each other", async || {
            let (one, two) = (company(&this.at_first).await, company(&this.at_second).await);
            (one && two).then_some(())
        })
        .await;
        this
    }

    /// A session whose home is the first server, where it sits in a tool.
    async fn stuck(&self) -> (String, String) {
        let session = self.at_first.session(json!({ "allowed_tools": ["Bash"] })).await;
        let turn = self.at_first.query_async(&session, STUCK).await;
        stuck(&self.first).await;
        (session, turn)
    }
}

async fn company(user: &Client) -> bool {
    let health = user.get("/monitoring/health").await.ok();
    health["checks"]["lease"]["detail"].as_str().is_some_and(|detail| detail.starts_with('1'))
}

async fn stuck(world: &World) {
    eventually("the tool runs", async || {
        world.agent_processes().iter().any(|(_, command)| command.starts_with("tail -f")).then_some(())
    })
    .await;
}

/// The agents themselves, without their tools.
fn agents_of(world: &World) -> Vec<(u32, String)> {
    let mut agents = world.agent_processes();
    agents.retain(|(_, command)| command.contains("stream-json"));
    agents
}

/// The ends of a turn in the journal.
async fn results_of(user: &Client, session: &str, turn: &str) -> Vec<Value> {
    let id = turn.rsplit('/').next().unwrap();
    let mut results = journalled(user, session, "result").await;
    results.retain(|result| result["turn_id"] == id);
    results
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_reaches_the_other_server_is_answered_by_the_home() {
    let two = Two::start(LONG).await;
    let session = two.at_first.session(json!({})).await;
    two.at_first.ask(&session, "remember the lighthouse").await;
    let agents = agents_of(&two.first);
    let mut events = two.at_second.events(&session, 0).await;
    let answer = two.at_second.ask(&session, "[[recall]]").await;
    assert!(answer.contains("lighthouse"), "{answer}");
    assert_eq!(agents_of(&two.first), agents, "the agent that was there already has answered");
    assert_eq!(two.second.agent_processes(), []);
    let elsewhere = two.at_second.get(&format!("{session}/files")).await;
    let way_out = elsewhere.problem(503, "FILES_ELSEWHERE")["detail"].as_str().unwrap();
    assert!(way_out.contains("archived to S3"), "{way_out}");
    two.at_first.get(&format!("{session}/files")).await.ok();
    // The stream at the second server has both turns, in order.
    let seen = events.until("result").await;
    let more = events.until("result").await;
    let numbers: Vec<u64> = seen.iter().chain(&more).filter_map(|seen| seen.id).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_at_one_instant_on_both_servers_run_one_after_the_other_and_once() {
    let two = Two::start(LONG).await;
    let session = two.at_first.session(json!({ "allowed_tools": ["Bash"] })).await;
    let prompt = |user: &Client, word: &str| {
        let message = format!(
            r#"[[tool:Bash {{"command":"echo {word} >> ran.txt; sleep 0.3; echo {word} >> ran.txt"}}]]"#
        );
        let body = json!({ "message": message, "if_busy": "queue" });
        send(user.request(Method::POST, &format!("{session}/query")).json(&body))
    };
    let (one, other) = tokio::join!(prompt(&two.at_first, "one"), prompt(&two.at_second, "other"));
    one.ok();
    other.ok();
    let ran = std::fs::read_to_string(two.first.workspace(&session).join("ran.txt")).unwrap();
    let ran: Vec<_> = ran.lines().collect();
    assert!(ran == ["one", "one", "other", "other"] || ran == ["other", "other", "one", "one"], "{ran:?}");
    assert_eq!(two.second.agent_processes(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_to_stop_at_the_other_server_stops() {
    let two = Two::start(LONG).await;
    let (session, turn) = two.stuck().await;
    let shown = two.at_second.post(&format!("{session}/interrupt"), json!({})).await.ok();
    assert_eq!(shown["status"], "active");
    assert_eq!(two.at_second.get(&turn).await.ok()["error_code"], "INTERRUPTED");

    let turn = two.at_first.query_async(&session, STUCK).await;
    stuck(&two.first).await;
    let shown = two.at_second.post(&format!("{session}/pause"), json!({})).await.ok();
    assert_eq!(shown["status"], "paused");
    assert_eq!(two.at_second.get(&turn).await.ok()["status"], "interrupted");
    eventually("a paused session has no agent", async || {
        two.first.agent_processes().is_empty().then_some(())
    })
    .await;
    two.at_second.post(&format!("{session}/resume"), json!({})).await.ok();

    let turn = two.at_first.query_async(&session, STUCK).await;
    stuck(&two.first).await;
    let workspace = two.first.workspace(&session);
    assert_eq!(two.at_second.delete(&session).await.status, 204);
    assert_eq!(two.at_second.get(&turn).await.ok()["status"], "interrupted");
    eventually("its home has removed its files", async || (!workspace.exists()).then_some(())).await;
    assert_eq!(two.first.agent_processes(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_says_at_the_other_server_reaches_the_agent_and_its_successor() {
    let two = Two::start(LONG).await;
    let session = two.at_first.session(json!({})).await;
    let turn = two.at_first.query_async(&session, &runs("echo allowed > told.txt")).await;
    let question = asked(&two.at_second, &session).await;
    answer(&two.at_second, &session, &question, json!({ "decision": "allow" })).await.ok();
    assert_eq!(two.at_second.turn_over(&turn).await["status"], "completed");
    let told = std::fs::read_to_string(two.first.workspace(&session).join("told.txt")).unwrap();
    assert_eq!(told, "allowed\n");

    // The agent that waits was started before the change, and is not asked any more.
    let before = agents_of(&two.first);
    let patched = two.at_second.request(Method::PATCH, &session).json(&json!({ "allowed_tools": ["Bash"] }));
    send(patched).await.ok();
    assert_eq!(two.at_second.ask(&session, &runs("echo unasked > told.txt")).await, "done");
    assert!(!agents_of(&two.first).iter().any(|agent| before.contains(agent)), "another agent answered");
    assert_eq!(two.second.agent_processes(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_server_takes_over_from_one_that_was_killed() {
    let mut two = Two::start(SHORT).await;
    let session = two.at_first.session(json!({ "allowed_tools": ["Bash"] })).await;
    two.at_first.ask(&session, "remember the lighthouse").await;
    let turn = two.at_first.query_async(&session, STUCK).await;
    stuck(&two.first).await;
    // An agent writes its transcript a moment after it acts, and until then the first one's disk alone has that moment.
    eventually("the store has what the agent is in the middle of", async || {
        let rows = "SELECT EXISTS (SELECT 1 FROM transcript_entries WHERE entry LIKE '%tool_use%tail -f%')";
        two.first.database().query_row(rows, [], |row| row.get::<_, bool>(0)).unwrap().then_some(())
    })
    .await;
    let mut events = two.at_second.events(&session, 0).await;
    two.first.kill().await;
    let over = two.at_second.turn_over(&turn).await;
    assert_eq!((&over["status"], &over["error_code"]), (&json!("interrupted"), &json!("SERVER_STOPPED")));
    events.until("result").await;
    eventually("no process of it is left", async || two.first.agent_processes().is_empty().then_some(()))
        .await;

    // The model gets all that was said, also what the agent that was killed was in the middle of.
    let answer = two.at_second.ask(&session, "[[recall]]").await;
    assert!(answer.contains("lighthouse") && answer.contains("tail -f"), "{answer}");
    let shown = two.at_second.get(&session).await.ok();
    let here = two.second.workspace(&session);
    assert_eq!(shown["working_directory"].as_str().map(Into::into), Some(here));
    let notices = journalled(&two.at_second, &session, "notice").await;
    assert!(notices.iter().any(|notice| notice["what"] == "workspace_missing"), "{notices:?}");

    // The first one comes back, is not the home any more, and says what its new home says.
    two.first.launch().await;
    let at_first = two.first.admin().await;
    assert_eq!(at_first.ask(&session, "[[text:over there]]").await, "over there");
    assert_eq!(two.first.agent_processes(), []);
    assert_eq!(results_of(&at_first, &session, &turn).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stood_still_for_too_long_changes_nothing_any_more() {
    let two = Two::start(SHORT).await;
    let (session, turn) = two.stuck().await;
    // Not in the middle of writing: nobody else gets at the file before a lock of SQLite that stands still.
    let writing = two.first.database();
    writing.execute_batch("BEGIN IMMEDIATE").unwrap();
    signal(two.first.server_pid(), "STOP");
    writing.execute_batch("ROLLBACK").unwrap();
    let over = two.at_second.turn_over(&turn).await;
    assert_eq!(over["error_code"], "SERVER_STOPPED");
    assert!(!two.first.agent_processes().is_empty(), "it could not end them");
    assert_eq!(two.at_second.ask(&session, "[[text:second]]").await, "second");

    signal(two.first.server_pid(), "CONT");
    eventually("it has ended its agents", async || two.first.agent_processes().is_empty().then_some(()))
        .await;
    assert_eq!(results_of(&two.at_second, &session, &turn).await.len(), 1, "the turn ended once");
    assert_eq!(two.at_second.get(&turn).await.ok(), over);
    eventually("it has a lease again", async || company(&two.at_first).await.then_some(())).await;
    // It goes on with whatever is its own, and leaves this session to its new home.
    assert_eq!(two.at_first.ask(&session, "[[text:third]]").await, "third");
    assert_eq!(two.first.agent_processes(), []);
    let own = two.at_first.session(json!({})).await;
    assert_eq!(two.at_first.ask(&own, "[[text:its own]]").await, "its own");
}

/// What holds on one SQLite file, where writers queue for the file, on a database with several writers.
#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_a_session_goes_from_a_server_that_stood_still_to_the_other_and_runs_once() {
    let own = testkit::PostgresDatabase::create().await;
    let two = Two::with(SHORT, &[("DATABASE_URL", own.url())]).await;
    let talked = two.at_first.session(json!({})).await;
    two.at_first.ask(&talked, "remember the lighthouse").await;
    let home = agents_of(&two.first);
    assert_eq!(two.at_second.ask(&talked, "[[text:at home]]").await, "at home");
    assert_eq!((agents_of(&two.first), two.second.agent_processes()), (home, vec![]));

    let (session, turn) = two.stuck().await;
    signal(two.first.server_pid(), "STOP");
    let over = two.at_second.turn_over(&turn).await;
    assert_eq!(over["error_code"], "SERVER_STOPPED");
    assert_eq!(two.at_second.ask(&session, "[[text:second]]").await, "second");
    let answer = two.at_second.ask(&talked, "[[recall]]").await;
    assert!(answer.contains("lighthouse"), "{answer}");

    signal(two.first.server_pid(), "CONT");
    eventually("it has ended its agents", async || two.first.agent_processes().is_empty().then_some(()))
        .await;
    assert_eq!(results_of(&two.at_second, &session, &turn).await.len(), 1, "the turn ended once");
    assert_eq!(two.at_second.get(&turn).await.ok(), over);
    eventually("it has a lease again", async || company(&two.at_first).await.then_some(())).await;
    assert_eq!(two.at_first.ask(&session, "[[text:third]]").await, "third");
    assert_eq!(two.first.agent_processes(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_back_soon_takes_its_own_back_at_once() {
    let mut two = Two::start(LONG).await;
    let (session, turn) = two.stuck().await;
    two.first.kill().await;
    two.first.launch().await;
    let at_first = two.first.admin().await;
    assert_eq!(at_first.get(&turn).await.ok()["error_code"], "SERVER_STOPPED", "closed before it listens");
    assert_eq!(at_first.ask(&session, "[[text:again]]").await, "again");
    assert_eq!(two.second.agent_processes(), []);
    assert_eq!(results_of(&at_first, &session, &turn).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_well_is_not_waited_for() {
    let mut two = Two::start(LONG).await;
    let session = two.at_first.session(json!({})).await;
    two.first.stop().await;
    // Its lease would have lasted longer than this test.
    assert_eq!(two.at_second.ask(&session, "[[text:here now]]").await, "here now");
}

/// The S3 server that `cargo xtask test` starts.
pub fn in_s3() -> Vec<(&'static str, String)> {
    let variable = |name: &str| {
        #[expect(clippy::disallowed_methods, reason = "what cargo xtask test tells its tests")]
        let value = std::env::var(name);
        value.unwrap_or_else(|_| panic!("{name} is not set: run cargo xtask test"))
    };
    vec![
        ("STORAGE_PROVIDER", "s3".to_owned()),
        ("AWS_S3_BUCKET", variable("STEWARD_TEST_S3_BUCKET")),
        ("AWS_S3_ENDPOINT", variable("STEWARD_TEST_S3_ENDPOINT")),
        ("AWS_ACCESS_KEY_ID", variable("STEWARD_TEST_S3_ACCESS_KEY_ID")),
        ("AWS_SECRET_ACCESS_KEY", variable("STEWARD_TEST_S3_SECRET_ACCESS_KEY")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_archived_goes_on_at_another_when_the_first_and_its_disk_are_gone() {
    let settings = in_s3();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut two = Two::with(LONG, &settings).await;
    let session = two.at_first.session(json!({ "allowed_tools": ["Bash"] })).await;
    two.at_first.ask(&session, "remember the lighthouse").await;
    let write = r#"[[tool:Bash {"command":"echo kept > note.txt"}]][[next]][[text:written]]"#;
    assert_eq!(two.at_first.ask(&session, write).await, "written");
    // Asked of the other one, and done by the home.
    let asked = two.at_second.post(&format!("{session}/archive"), json!({})).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    eventually("its home has archived it", async || {
        (two.at_second.get(&session).await.ok()["status"] == "archived").then_some(())
    })
    .await;
    let archive = two.at_second.get(&format!("{session}/archive")).await.ok();
    assert_eq!((&archive["storage"], &archive["status"]), (&json!("s3"), &json!("completed")), "{archive}");

    // Everything but the database that both share.
    two.first.kill().await;
    for entry in std::fs::read_dir(two.first.data_dir()).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            std::fs::remove_dir_all(entry.path()).unwrap();
        } else if !entry.file_name().to_string_lossy().starts_with("steward.db") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let restored = two.at_second.post(&format!("{session}/archive/restore"), json!({})).await.ok();
    assert_eq!(restored["status"], "active", "{restored}");
    assert_eq!(std::fs::read_to_string(two.second.workspace(&session).join("note.txt")).unwrap(), "kept\n");
    let answer = two.at_second.ask(&session, "[[recall]]").await;
    assert!(answer.contains("lighthouse"), "{answer}");
}

/// Only on PostgreSQL do servers hear each other; what is counted there is counted by both.
#[tokio::test(flavor = "multi_thread")]
async fn servers_on_one_postgresql_count_callers_and_end_accounts_together() {
    let database = testkit::PostgresDatabase::create().await;
    let settings =
        [("DATABASE_URL", database.url()), ("RATE_LIMIT_ENABLED", "true"), ("RATE_LIMIT_PER_HOUR", "1000")];
    let two = Two::with(LONG, &settings).await;
    let made = two.at_first.post("/auth/api-keys", json!({ "name": "both" })).await.ok();
    let key = |world: &World| {
        let mut client = world.stranger();
        client.token = Some(made["key"].as_str().unwrap().to_owned());
        client
    };
    let (at_first, at_second) = (key(&two.first), key(&two.second));
    let left = async |client: &Client| {
        let answer = client.get("/auth/me").await;
        answer.headers["ratelimit-remaining"].to_str().unwrap().parse::<u32>().unwrap()
    };
    for _ in 0..300 {
        left(&at_first).await;
    }
    eventually("the second server has heard of it", async || (left(&at_second).await < 400).then_some(()))
        .await;

    let person = json!({ "email": "eve@example.com", "password": crate::world::PASSWORD });
    let person = two.at_first.post("/admin/users", person).await.ok();
    let eve = Client::login(&two.at_second.url, "eve@example.com", crate::world::PASSWORD).await;
    let session = eve.session(json!({})).await;
    let mut events = eve.events(&session, 0).await;
    let path = format!("/admin/users/{}", person["id"].as_str().unwrap());
    let request = two.at_first.request(Method::PATCH, &path).json(&json!({ "is_active": false }));
    assert_eq!(send(request).await.status, 200);
    let closing = events.until("closing").await.pop().unwrap();
    assert_eq!(closing.data["reason"], "credential_ended");
    assert_eq!(eve.get("/auth/me").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_purged_at_the_other_server_leaves_nothing_on_its_homes_disk() {
    let two = Two::start(LONG).await;
    let session = two.at_first.session(json!({})).await;
    two.at_first.ask(&session, "[[text:here]]").await;
    let id = session.rsplit('/').next().unwrap();
    let folders = [two.first.workspace(&session), two.first.data_dir().join("agents").join(id)];
    assert!(folders.iter().all(|folder| folder.exists()), "{folders:?}");
    let purge = two.at_second.request(Method::DELETE, &format!("{session}?purge=true"));
    assert_eq!(send(purge).await.status, 204);
    assert_eq!(two.at_first.get(&session).await.status, 404);
    eventually("its home has cleared it away", async || {
        (!folders.iter().any(|folder| folder.exists())).then_some(())
    })
    .await;
    assert_eq!(two.first.agent_processes(), []);
}

/// An agent that waits for its next prompt has the hooks that it was started with.
#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_a_hook_that_is_made_at_the_other_server_holds_for_agents_that_wait() {
    let database = testkit::PostgresDatabase::create().await;
    let settings = [("DATABASE_URL", database.url()), ("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true")];
    let two = Two::with(LONG, &settings).await;
    let session = two.at_first.session(json!({ "allowed_tools": ["Bash"] })).await;
    two.at_first.ask(&session, "[[text:here]]").await;
    assert!(!agents_of(&two.first).is_empty());
    // Nobody listens there, and it fails closed: nothing runs that it is to be asked about.
    let guard = json!({
        "name": "guard", "url": "http://127.0.0.1:9/", "kind": "decision", "event_types": ["PreToolUse"],
        "is_global": true,
    });
    assert_eq!(two.at_second.post("/hooks", guard).await.status, 201);
    eventually("the agent has made room", async || agents_of(&two.first).is_empty().then_some(())).await;
    let prompt = r#"[[tool:Bash {"command":"echo it ran"}]][[next]][[text:done]]"#;
    let answer = two.at_first.query(&session, prompt).await.ok();
    assert_eq!(answer["tool_calls"][0]["status"], "denied", "{answer}");
}

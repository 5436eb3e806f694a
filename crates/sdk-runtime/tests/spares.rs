//! The pool of spares against scripted agents, in virtual time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has to fail")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sdk_runtime::{
    Agent, AgentDefinition, AgentOptions, Claimed, ColdReason, Error, Event, Events, Hook, HookInput,
    HookOutput, HookRegistration, Invocation, Launcher, Origin, PermissionMode, PromptContent, SeamError,
    SessionStart, SparePool, SpareSettings, Transport,
    mcp::{McpPermission, McpRemoteServer},
    testing::ScriptedLauncher,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

struct Yard {
    launcher: ScriptedLauncher,
    parking: TempDir,
}

impl Yard {
    fn new(launcher: ScriptedLauncher) -> Self {
        let launcher = launcher.with_initialize("hooks_applied", json!(true));
        Self { launcher, parking: TempDir::new().unwrap() }
    }

    fn settings(&self) -> SpareSettings {
        SpareSettings::new(self.parking.path())
    }

    fn pool(&self, settings: SpareSettings) -> SparePool {
        SparePool::new(Arc::new(self.launcher.clone()), settings)
    }
}

fn options(cwd: &str) -> AgentOptions {
    AgentOptions::default().with_cli("claude").with_cwd(cwd)
}

fn is_warm(claimed: &Claimed) -> bool {
    matches!(claimed.origin, Origin::Spare { .. })
}

/// Waits until the figures are like that.
async fn settled(pool: &SparePool, is_so: impl Fn(sdk_runtime::SpareStats) -> bool) {
    let looking = async {
        while !is_so(pool.stats()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), looking).await.unwrap();
}

async fn bash(agent: &Agent, events: &mut Events) {
    let id = agent.prompt(PromptContent::Text("go".into())).await.unwrap();
    loop {
        match events.next().await.unwrap() {
            Event::Finished { prompts, .. } if prompts == [id] => return,
            Event::Exited(said) => panic!("{}", said.words()),
            _ => {}
        }
    }
}

struct Deny(&'static str);

#[async_trait]
impl Hook for Deny {
    async fn on(&self, _input: HookInput) -> Result<HookOutput, SeamError> {
        Ok(HookOutput::deny_tool(self.0))
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_takes_a_spare_and_another_is_made_ready() {
    let yard = Yard::new(ScriptedLauncher::new());
    let pool = yard.pool(yard.settings());
    assert!(pool.prepare(&options("/elsewhere")));
    pool.ready(2).await;
    let parked = yard.launcher.agents()[0].clone();
    assert_eq!(parked.invocation().cwd, yard.parking.path());
    assert!(parked.args().contains(&"--await-claim".to_owned()));
    let claimed = pool.claim(options("/srv/a").with_permission_mode(PermissionMode::Plan)).await.unwrap();
    assert!(is_warm(&claimed));
    let claim = &parked.controls("claim_session")[0];
    assert_eq!((&claim["cwd"], &claim["permission_mode"]), (&json!("/srv/a"), &json!("plan")));
    pool.ready(2).await;
    assert_eq!(yard.launcher.agents().len(), 3);
    let stats = pool.stats();
    assert_eq!((stats.ready, stats.starting, stats.claimed, stats.cold), (2, 0, 1, 0));
    pool.shutdown().await;
    assert_eq!(yard.launcher.alive().len(), 1, "what was handed out is not the pool's any more");
    drop(claimed);
}

#[tokio::test(start_paused = true)]
async fn what_was_claimed_has_the_processors_for_a_while_before_its_replacement_is_started() {
    let yard = Yard::new(ScriptedLauncher::new());
    let delay = Duration::from_secs(5);
    let pool = yard.pool(yard.settings().with_size(3).with_starting_max(3).with_refill_delay(delay));
    pool.prepare(&options("/srv/a"));
    pool.ready(3).await;
    let first = pool.claim(options("/srv/a")).await.unwrap();
    tokio::time::sleep(delay * 3 / 5).await;
    let second = pool.claim(options("/srv/a")).await.unwrap();
    tokio::time::sleep(delay / 5).await;
    assert_eq!((pool.stats().ready, yard.launcher.agents().len()), (1, 3), "it is not yet time");
    tokio::time::sleep(delay * 2 / 5).await;
    assert_eq!((pool.stats().ready, yard.launcher.agents().len()), (3, 5), "the second put nothing off");
    assert!(is_warm(&first) && is_warm(&second));
    pool.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_claimed_spare_asks_the_hooks_of_its_claim() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        say.tool("Bash", json!({}), "ran").await;
    });
    let yard = Yard::new(launcher);
    let pool = yard.pool(yard.settings().with_size(1));
    for words in ["first house", "second house"] {
        let hook = HookRegistration::new("PreToolUse", Arc::new(Deny(words)));
        let options = options("/srv/a").with_hook(hook);
        pool.prepare(&options);
        pool.ready(1).await;
        let Claimed { agent, mut events, .. } = pool.claim(options).await.unwrap();
        bash(&agent, &mut events).await;
    }
    for (agent, words) in yard.launcher.agents().iter().zip(["first house", "second house"]) {
        let answer = agent.answers().pop().unwrap();
        let reason = &answer["response"]["hookSpecificOutput"]["permissionDecisionReason"];
        assert_eq!(reason, words);
        let initializes = agent.controls("initialize");
        assert!(initializes[0]["hooks"].is_null(), "a spare is parked without hooks");
        assert_eq!(initializes[1]["hooks"]["PreToolUse"][0]["onFailure"], "block");
    }
    pool.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_spare_is_denied_whatever_it_asks() {
    let yard = Yard::new(ScriptedLauncher::new());
    let pool = yard.pool(yard.settings().with_size(1));
    pool.prepare(&options("/srv/a"));
    pool.ready(1).await;
    let parked = yard.launcher.last_agent();
    parked.say(&json!({ "type": "control_request", "request_id": "r", "request": {
        "subtype": "can_use_tool", "tool_name": "Bash", "input": {}, "tool_use_id": "t",
    }}));
    parked.wait_for(|frames| frames.iter().any(|frame| frame["type"] == "control_response")).await;
    assert_eq!(parked.answers()[0]["response"]["behavior"], "deny");
}

#[tokio::test(start_paused = true)]
async fn a_spare_that_does_not_confirm_its_hooks_is_killed_and_an_agent_started() {
    let yard = Yard::new(ScriptedLauncher::new().with_initialize("hooks_applied", json!(false)));
    let launcher = ScriptedLauncher::new();
    let pool = SparePool::new(Arc::new(launcher.clone()), yard.settings().with_size(1));
    let options = options("/srv/a").with_hook(HookRegistration::new("PreToolUse", Arc::new(Deny("no"))));
    pool.prepare(&options);
    pool.ready(1).await;
    let spare = launcher.last_agent();
    let claimed = pool.claim(options).await.unwrap();
    let Origin::Cold(ColdReason::Refused(error)) = &claimed.origin else {
        panic!("{:?}", claimed.origin);
    };
    assert!(matches!(error, Error::HooksFailOpen { .. }), "{error}");
    assert!(spare.controls("claim_session").is_empty());
    assert_eq!(spare.ended().await.signal, Some(9));
    assert_eq!(pool.stats().discarded_refused, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_or_unanswered_claim_is_served_cold() {
    let launcher = ScriptedLauncher::new().on_control("claim_session", |_| Err("cwd_not_found".to_owned()));
    let yard = Yard::new(launcher);
    let pool = yard.pool(yard.settings().with_size(1));
    pool.prepare(&options("/srv/a"));
    pool.ready(1).await;
    let spare = yard.launcher.last_agent();
    let claimed = pool.claim(options("/srv/a")).await.unwrap();
    let Origin::Cold(ColdReason::Refused(error)) = &claimed.origin else {
        panic!("{:?}", claimed.origin);
    };
    assert!(error.to_string().contains("cwd_not_found"), "{error}");
    spare.ended().await;
    let stats = pool.stats();
    assert_eq!((stats.claimed, stats.cold, stats.discarded_refused), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_no_spare_can_be_is_started_cold() {
    let yard = Yard::new(ScriptedLauncher::new());
    let pool = yard.pool(yard.settings().with_size(1));
    pool.prepare(&options("/srv/a"));
    pool.ready(1).await;
    let session = SessionStart::New { id: Uuid::new_v4() };
    let chosen = options("/srv/a").with_session(session);
    assert!(!pool.prepare(&chosen));
    let claimed = pool.claim(chosen).await.unwrap();
    assert!(matches!(claimed.origin, Origin::Cold(ColdReason::NotClaimable(_))), "{:?}", claimed.origin);
    // Another model is another profile: the spare of the first is not given out for it.
    let claimed = pool.claim(options("/srv/a").with_model(Some("other".to_owned()))).await.unwrap();
    assert!(matches!(claimed.origin, Origin::Cold(ColdReason::NoneReady)), "{:?}", claimed.origin);
    pool.ready(2).await;
    let claimed = pool.claim(options("/srv/a").with_model(Some("other".to_owned()))).await.unwrap();
    assert!(is_warm(&claimed), "a profile that was asked for is kept from then on");
    let spare = yard.launcher.agents().into_iter().find(|agent| !agent.controls("claim_session").is_empty());
    assert!(spare.unwrap().args().contains(&"--model=other".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_is_prepared_serves_a_claim_whose_permissions_become_rules() {
    let yard = Yard::new(ScriptedLauncher::new());
    let pool = yard.pool(yard.settings().with_size(1));
    let server = McpRemoteServer::http("http://h/").with_tool_permission("see", McpPermission::AlwaysAllow);
    let wanted = options("/srv/a").with_mcp_server("files", server);
    assert!(pool.prepare(&wanted));
    pool.ready(1).await;
    assert!(is_warm(&pool.claim(wanted).await.unwrap()));
    assert!(!pool.prepare(&options("/srv/a").with_max_turns(0)), "what would be refused is not prepared");
    pool.ready(1).await;
    assert_eq!(pool.stats().starting + pool.stats().ready, 1);
}

#[tokio::test(start_paused = true)]
async fn a_claimed_spare_shakes_hands_again_as_what_it_has_become() {
    let yard = Yard::new(ScriptedLauncher::new());
    let pool = yard.pool(yard.settings().with_size(1));
    pool.prepare(&options("/srv/a"));
    pool.ready(1).await;
    let wanted = options("/srv/a")
        .with_title("plum".to_owned())
        .with_agent("sub", AgentDefinition::new("d", "p"))
        .with_hook(HookRegistration::new("PreToolUse", Arc::new(Deny("no"))));
    let claimed = pool.claim(wanted).await.unwrap();
    assert!(is_warm(&claimed));
    claimed.agent.reinitialize().await.unwrap();
    let spare = yard.launcher.agents()[0].clone();
    let last = spare.controls("initialize").pop().unwrap();
    assert_eq!((&last["title"], &last["agents"]["sub"]["prompt"]), (&json!("plum"), &json!("p")));
    assert!(last["hooks"]["PreToolUse"].is_array(), "{last}");
}

#[tokio::test(start_paused = true)]
async fn an_old_spare_is_replaced() {
    let yard = Yard::new(ScriptedLauncher::new());
    let pool = yard.pool(yard.settings().with_size(1).with_age_max(Duration::from_secs(600)));
    pool.prepare(&options("/srv/a"));
    pool.ready(1).await;
    let first = yard.launcher.last_agent();
    tokio::time::sleep(Duration::from_secs(590)).await;
    assert!(first.is_alive());
    tokio::time::sleep(Duration::from_secs(11)).await;
    settled(&pool, |stats| stats.ready == 1 && stats.discarded_aged == 1).await;
    assert_eq!(first.ended().await.signal, Some(9));
    assert_eq!(yard.launcher.agents().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_spare_that_dies_is_replaced_but_not_over_and_over() {
    let yard = Yard::new(ScriptedLauncher::new());
    let pool = yard.pool(yard.settings().with_size(1).with_retry_delay(Duration::from_secs(5)));
    pool.prepare(&options("/srv/a"));
    pool.ready(1).await;
    yard.launcher.last_agent().die();
    settled(&pool, |stats| stats.discarded_died == 1).await;
    let claimed = pool.claim(options("/srv/a")).await.unwrap();
    assert!(matches!(claimed.origin, Origin::Cold(ColdReason::NoneReady)), "{:?}", claimed.origin);
    let died_at = tokio::time::Instant::now();
    pool.ready(1).await;
    assert!(died_at.elapsed() >= Duration::from_secs(4), "{:?}", died_at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn spares_that_cannot_be_started_are_tried_less_and_less() {
    let path = "/nowhere".into();
    let yard = Yard::new(ScriptedLauncher::new().fails_to_launch(Error::CliNotFound { path }));
    let settings = yard.settings().with_size(1).with_retry_delay(Duration::from_secs(1));
    let pool = yard.pool(settings.with_retry_delay_max(Duration::from_secs(8)));
    pool.prepare(&options("/srv/a"));
    tokio::time::sleep(Duration::from_secs(16)).await;
    // At 0, 1, 3, 7 and 15 seconds.
    settled(&pool, |stats| stats.failed == 5).await;
    let error = pool.claim(options("/srv/a")).await.map(drop).unwrap_err();
    assert!(matches!(error, Error::CliNotFound { .. }), "the claim says it itself: {error:?}");
    pool.shutdown().await;
}

/// Lets as many through as there are permits, and knows the most that waited at once.
struct Turnstile {
    inner: ScriptedLauncher,
    permits: Semaphore,
    waiting: AtomicUsize,
    most: watch::Sender<usize>,
}

#[async_trait]
impl Launcher for Turnstile {
    async fn launch(&self, invocation: &Invocation) -> Result<Transport, Error> {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.send_modify(|most| *most = (*most).max(waiting));
        self.permits.acquire().await.unwrap().forget();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.inner.launch(invocation).await
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_start_at_once_than_may_and_no_profile_waits_for_another() {
    let yard = Yard::new(ScriptedLauncher::new());
    let turnstile = Arc::new(Turnstile {
        inner: yard.launcher.clone(),
        permits: Semaphore::new(0),
        waiting: AtomicUsize::new(0),
        most: watch::Sender::new(0),
    });
    let launcher: Arc<dyn Launcher> = Arc::clone(&turnstile) as Arc<dyn Launcher>;
    let settings = yard.settings().with_size(3).with_starting_max(2).with_profiles_max(2);
    let pool = SparePool::new(launcher, settings);
    pool.prepare(&options("/srv/a"));
    pool.prepare(&options("/srv/a").with_model(Some("other".to_owned())));
    settled(&pool, |stats| stats.starting == 2).await;
    turnstile.permits.add_permits(2);
    pool.ready(2).await;
    let models = yard.launcher.agents();
    let others = models.iter().filter(|agent| agent.args().contains(&"--model=other".to_owned())).count();
    assert_eq!(others, 1, "one of each before a second of any");
    turnstile.permits.add_permits(10);
    pool.ready(6).await;
    assert_eq!(*turnstile.most.borrow(), 2);
    // A third profile takes the place of the one that was used least lately.
    pool.prepare(&options("/srv/a").with_model(Some("third".to_owned())));
    settled(&pool, |stats| stats.discarded_aged == 3 && stats.ready == 6).await;
    assert_eq!(yard.launcher.alive().len(), 6);
    pool.shutdown().await;
    assert!(yard.launcher.alive().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_given_up_costs_its_spare_and_nothing_else() {
    let launcher = ScriptedLauncher::new();
    let yard = Yard::new(launcher);
    let pool = yard.pool(yard.settings().with_size(1));
    pool.prepare(&options("/srv/a"));
    pool.ready(1).await;
    let spare = yard.launcher.last_agent();
    {
        let claiming = pool.claim(options("/srv/a"));
        tokio::pin!(claiming);
        // Far enough to have taken it.
        assert!(futures::poll!(&mut claiming).is_pending());
    }
    assert_eq!(spare.ended().await.signal, Some(9));
    pool.ready(1).await;
    assert!(is_warm(&pool.claim(options("/srv/a")).await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_pool_that_is_shut_down_or_dropped() {
    let yard = Yard::new(ScriptedLauncher::new());
    let pool = yard.pool(yard.settings());
    pool.prepare(&options("/srv/a"));
    // While both are still starting.
    settled(&pool, |stats| stats.starting == 2 || stats.ready > 0).await;
    tokio::join!(pool.shutdown(), pool.shutdown());
    assert!(yard.launcher.alive().is_empty());
    let claimed = pool.claim(options("/srv/a")).await.unwrap();
    assert!(matches!(claimed.origin, Origin::Cold(ColdReason::ShutDown)), "{:?}", claimed.origin);
    drop(claimed);

    let yard = Yard::new(ScriptedLauncher::new());
    let pool = yard.pool(yard.settings());
    pool.prepare(&options("/srv/a"));
    pool.ready(2).await;
    let agents = yard.launcher.agents();
    drop(pool.clone());
    assert!(agents.iter().all(|agent| agent.is_alive()));
    drop(pool);
    for agent in agents {
        assert_eq!(agent.ended().await.signal, Some(9));
    }
}

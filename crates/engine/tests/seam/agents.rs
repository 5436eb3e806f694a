//! Agents between turns: how they are started, kept, closed, and how many there may be.

use crate::world::World;
use domain::{SessionId, SessionMode, SessionStatus, TurnStatus, session::SessionPatch};
use engine::{Error, SessionDraft};
use sdk_runtime::{EnvMode, testing::ScriptedLauncher};
use std::{collections::BTreeMap, time::Duration};
use tokio_util::sync::CancellationToken;

fn hanging() -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        if prompt.text() == "hang" {
            say.hang().await;
        }
        say.text("done");
    })
}

async fn keep_house(world: &World, seconds: u64) {
    let for_ever = CancellationToken::new();
    let keeping = world.manager.keep_house(for_ever);
    tokio::time::timeout(Duration::from_secs(seconds), keeping).await.unwrap_err();
}

fn has(world: &World, arg: &str) -> bool {
    world.launcher.last_agent().args().iter().any(|given| given == arg)
}

#[tokio::test(start_paused = true)]
async fn an_idle_agent_is_closed_and_the_next_prompt_resumes() {
    let world = World::new(hanging());
    let session = world.session().await;
    world.ask(session, "one").await;
    assert!(has(&world, &format!("--session-id={session}")));
    keep_house(&world, 290).await;
    assert_eq!(world.launcher.alive().len(), 1);
    keep_house(&world, 20).await;
    world.alive(0).await;
    assert_eq!(world.access.open(), [""; 0]);
    keep_house(&world, 10).await;
    let memory = format!("{:?}", world.manager);
    assert_eq!(memory, "SessionManager { live: 0, watched: 0, running: 0, .. }");
    assert_eq!(world.status(session).await, SessionStatus::Active);
    assert_eq!(world.ask(session, "two").await.status, TurnStatus::Completed);
    assert!(has(&world, &format!("--resume={session}")));
}

#[tokio::test(start_paused = true)]
async fn the_agent_idle_longest_makes_room_and_a_busy_one_does_not() {
    let world = World::with(hanging(), |settings| settings.limits.interactive_agents_max = 2);
    let sessions = [world.session().await, world.session().await, world.session().await];
    world.ask(sessions[0], "one").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.ask(sessions[1], "two").await;
    world.ask_and_leave(sessions[2], "hang").await;
    world.alive(2).await;
    assert!(!world.launcher.agents()[0].is_alive(), "not the one that was idle longest");
    assert_eq!(world.manager.live_agents(), 2);

    world.ask_and_leave(sessions[1], "hang").await;
    let waiting = world.prompt(sessions[0], "more").await.unwrap();
    assert_eq!(waiting.queue_position, Some(1));
    assert_eq!(world.status(sessions[0]).await, SessionStatus::Active);
    world.manager.interrupt(&world.caller, sessions[1]).await.unwrap();
    assert_eq!(world.end(waiting).await.status, TurnStatus::Completed);
}

fn background(message: &str) -> SessionDraft {
    let mode = Some(SessionMode::Background);
    SessionDraft { mode, initial_message: Some(message.into()), ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn background_sessions_are_counted_apart_and_end_by_themselves() {
    let world = World::with(hanging(), |settings| {
        settings.limits.interactive_agents_max = 1;
        settings.limits.background_agents_max = 1;
    });
    let interactive = world.session().await;
    world.ask_and_leave(interactive, "hang").await;
    let session = world.session_of(background("go")).await;
    world.reaches(session, SessionStatus::Completed).await;
    assert!(world.get(session).await.completed_at.is_some());
    assert_eq!(world.status(interactive).await, SessionStatus::Processing);
}

#[tokio::test(start_paused = true)]
async fn background_work_that_fails_fails_its_session() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        say.error_result("error_max_turns", "max_turns", "Reached maximum number of turns");
    });
    let world = World::new(launcher);
    let session = world.session_of(background("go")).await;
    world.reaches(session, SessionStatus::Failed).await;
    let error = world.get(session).await.error_message;
    assert_eq!(error.as_deref(), Some("Reached maximum number of turns"));
}

#[tokio::test(start_paused = true)]
async fn background_work_without_a_slot_waits_for_one() {
    let world = World::with(hanging(), |settings| settings.limits.background_agents_max = 1);
    let blocking = world.session_of(background("hang")).await;
    world.reaches(blocking, SessionStatus::Processing).await;
    let waiting = world.session_of(background("go")).await;
    keep_house(&world, 30).await;
    assert_eq!(world.status(waiting).await, SessionStatus::Created);
    world.manager.interrupt(&world.caller, blocking).await.unwrap();
    keep_house(&world, 10).await;
    assert_eq!(world.status(waiting).await, SessionStatus::Completed);
}

fn patches() -> [(SessionPatch, &'static str); 3] {
    let none = SessionPatch::default;
    [
        (SessionPatch { model: Some("claude-other".to_owned()), ..none() }, "--model=claude-other"),
        (SessionPatch { permission_mode: Some("plan".to_owned()), ..none() }, "--permission-mode=plan"),
        (SessionPatch { allowed_tools: Some(vec!["Read".to_owned()]), ..none() }, "--allowedTools=Read"),
    ]
}

async fn patch(world: &World, session: SessionId, patch: SessionPatch) {
    world.manager.patch(&world.caller, session, patch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_agent_with_new_settings_is_started_for_the_next_prompt() {
    for (change, arg) in patches() {
        let world = World::new(hanging());
        let session = world.session().await;
        world.ask(session, "one").await;
        assert!(!has(&world, arg));
        patch(&world, session, SessionPatch { name: Some(Some("named".to_owned())), ..Default::default() })
            .await;
        assert_eq!(world.launcher.alive().len(), 1, "a name is no concern of the agent");
        patch(&world, session, change).await;
        world.alive(0).await;
        world.ask(session, "two").await;
        assert!(has(&world, arg), "{arg}");
    }
}

#[tokio::test(start_paused = true)]
async fn settings_changed_while_a_turn_runs_hold_from_the_next_prompt_on() {
    for (change, arg) in patches() {
        let world = World::new(hanging());
        let session = world.session().await;
        world.ask_and_leave(session, "hang").await;
        patch(&world, session, change).await;
        assert_eq!(world.launcher.alive().len(), 1, "the running turn was ended");
        world.manager.interrupt(&world.caller, session).await.unwrap();
        world.ask(session, "two").await;
        assert!(has(&world, arg), "{arg}");
        world.alive(1).await;
        world.ask(session, "three").await;
        assert_eq!(world.launcher.agents().len(), 2, "started anew once more for nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_permission_mode_is_refused() {
    let world = World::new(hanging());
    let session = world.session().await;
    let change = SessionPatch { permission_mode: Some("yolo".to_owned()), ..Default::default() };
    let refused = world.manager.patch(&world.caller, session, change).await;
    assert!(
        matches!(&refused, Err(Error::Invalid(at)) if at[0].pointer == "/permission_mode"),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_that_no_agent_can_be_given_is_refused() {
    let world = World::new(hanging());
    let session = world.session().await;
    let none = SessionPatch::default;
    for (change, pointer) in [
        (SessionPatch { model: Some("a\0b".to_owned()), ..none() }, "/model"),
        (SessionPatch { allowed_tools: Some(vec!["a\0b".to_owned()]), ..none() }, "/allowed_tools/0"),
        (SessionPatch { allowed_tools: Some(vec!["x".repeat(1024); 100]), ..none() }, "/allowed_tools"),
    ] {
        let refused = world.manager.patch(&world.caller, session, change).await;
        assert!(matches!(&refused, Err(Error::Invalid(at)) if at[0].pointer == pointer), "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_environment_of_an_agent_is_this_and_nothing_else() {
    let world = World::new(hanging());
    let mut draft = SessionDraft::default();
    draft.sdk_options.get_or_insert_default().env = BTreeMap::from([("MY_FLAG".to_owned(), "1".to_owned())]);
    let session = world.session_of(draft).await;
    world.ask(session, "one").await;
    let invocation = world.launcher.last_agent().invocation().clone();
    assert_eq!(invocation.env_mode, EnvMode::Replace);
    assert_eq!(invocation.host_marker.as_deref(), Some("this-server"));
    let home = world.root().join("agents").join(session.to_string()).display().to_string();
    let short = session.to_string().rsplit('-').next().unwrap().to_owned();
    let temporary = world.root().join("tmp").join(short).display().to_string();
    let client = format!("steward/{}", env!("CARGO_PKG_VERSION"));
    let expected = [
        ("ANTHROPIC_API_KEY", "token-1"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9"),
        ("CLAUDE_AGENT_SDK_CLIENT_APP", client.as_str()),
        ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("CLAUDE_CODE_ENTRYPOINT", "sdk-rust"),
        ("CLAUDE_CODE_MAX_RETRIES", "2"),
        ("CLAUDE_CONFIG_DIR", home.as_str()),
        ("DISABLE_AUTOUPDATER", "1"),
        ("HOME", home.as_str()),
        ("MY_FLAG", "1"),
        ("PATH", "/usr/bin"),
        ("TMPDIR", temporary.as_str()),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(invocation.env, expected);
}

#[tokio::test(start_paused = true)]
async fn what_a_session_sets_does_not_win_over_what_the_agent_must_have() {
    let world = World::new(hanging());
    let session = world.session().await;
    // As if an older version of the rules had let these in.
    let mut stored = world.get(session).await;
    stored.id = SessionId::new();
    for name in ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "HOME", "CLAUDE_CONFIG_DIR", "TMPDIR"] {
        stored.spec.sdk_options.env.insert(name.to_owned(), "theirs".to_owned());
    }
    domain::ports::Sessions::create(&world.store, &stored, &domain::Origin::system()).await.unwrap();
    world.ask(stored.id, "one").await;
    let env = world.launcher.last_agent().invocation().env.clone();
    assert!(!env.values().any(|value| value == "theirs"), "{env:?}");
}

//! What a new session may not ask for.

use crate::world::World;
use domain::{SessionId, SessionMode, SessionStatus};
use engine::{Error, SessionDraft};
use sdk_runtime::testing::ScriptedLauncher;

type Change = fn(&mut SessionDraft);

/// What is asked for, where the fault is, and its word.
const REFUSALS: [(Change, &str, &str); 31] = [
    (|draft| draft.mode = Some(SessionMode::Forked), "/parent_session_id", "required"),
    (|draft| draft.mode = Some(SessionMode::Background), "/initial_message", "required"),
    (|draft| draft.parent_session_id = Some(SessionId::new()), "/parent_session_id", "unsupported"),
    (|draft| draft.fork_at_message = Some(3), "/fork_at_message", "unsupported"),
    (|draft| draft.permission_mode = Some("yolo".into()), "/permission_mode", "enum"),
    (
        |draft| draft.sdk_options.get_or_insert_default().effort = Some("huge".into()),
        "/sdk_options/effort",
        "enum",
    ),
    (
        |draft| {
            draft.system_prompt = Some("one".into());
            draft.sdk_options.get_or_insert_default().append_system_prompt = Some("two".into());
        },
        "/sdk_options/append_system_prompt",
        "conflict",
    ),
    (|draft| set_env(draft, "HOME"), "/sdk_options/env/HOME", "forbidden"),
    (|draft| set_env(draft, "ANTHROPIC_BASE_URL"), "/sdk_options/env/ANTHROPIC_BASE_URL", "forbidden"),
    (|draft| set_env(draft, "LD_PRELOAD"), "/sdk_options/env/LD_PRELOAD", "forbidden"),
    (|draft| draft.hooks_enabled = Some(vec!["audit".into()]), "/hooks_enabled/0", "unknown"),
    (|draft| draft.custom_policies = Some(vec!["strict".into()]), "/custom_policies/0", "unknown"),
    (|draft| draft.working_directory = Some("/etc".into()), "/working_directory", "outside"),
    (|draft| draft.working_directory = Some("../x".into()), "/working_directory", "path"),
    (|draft| draft.working_directory = Some(String::new()), "/working_directory", "path"),
    (
        |draft| draft.sdk_options.get_or_insert_default().add_dirs = vec!["ok".into(), "/etc".into()],
        "/sdk_options/add_dirs/1",
        "outside",
    ),
    (
        |draft| draft.sdk_options.get_or_insert_default().add_dirs = vec!["a/../b".into()],
        "/sdk_options/add_dirs/0",
        "path",
    ),
    (
        |draft| draft.sdk_options.get_or_insert_default().add_dirs = vec!["a\0b".into()],
        "/sdk_options/add_dirs/0",
        "path",
    ),
    (|draft| draft.working_directory = Some("n".repeat(300)), "/working_directory", "path"),
    (
        |draft| draft.sdk_options.get_or_insert_default().model = Some("a\0b".into()),
        "/sdk_options/model",
        "nul",
    ),
    (
        |draft| draft.sdk_options.get_or_insert_default().fallback_model = Some("a\0b".into()),
        "/sdk_options/fallback_model",
        "nul",
    ),
    (|draft| draft.allowed_tools = Some(vec!["Read".into(), "a\0b".into()]), "/allowed_tools/1", "nul"),
    (
        |draft| draft.sdk_options.get_or_insert_default().disallowed_tools = vec!["a\0b".into()],
        "/sdk_options/disallowed_tools/0",
        "nul",
    ),
    (
        |draft| draft.sdk_options.get_or_insert_default().tools = Some(vec!["a\0b".into()]),
        "/sdk_options/tools/0",
        "nul",
    ),
    (
        |draft| draft.sdk_options.get_or_insert_default().betas = vec!["a\0b".into()],
        "/sdk_options/betas/0",
        "nul",
    ),
    (|draft| draft.system_prompt = Some("a\0b".into()), "/system_prompt", "nul"),
    (
        |draft| draft.sdk_options.get_or_insert_default().append_system_prompt = Some("a\0b".into()),
        "/sdk_options/append_system_prompt",
        "nul",
    ),
    (|draft| set_env_to(draft, "MY_FLAG", "a\0b"), "/sdk_options/env/MY_FLAG", "nul"),
    (
        |draft| set_env_to(draft, "MY_FLAG", &"x".repeat(32 * 1024 + 1)),
        "/sdk_options/env/MY_FLAG",
        "too_long",
    ),
    (|draft| (0..129).for_each(|n| set_env(draft, &format!("MY_{n}"))), "/sdk_options/env", "too_many"),
    (|draft| draft.allowed_tools = Some(vec!["x".repeat(1024); 100]), "/allowed_tools", "too_long"),
];

fn set_env(draft: &mut SessionDraft, name: &str) {
    set_env_to(draft, name, "x");
}

fn set_env_to(draft: &mut SessionDraft, name: &str, value: &str) {
    draft.sdk_options.get_or_insert_default().env.insert(name.to_owned(), value.to_owned());
}

#[tokio::test]
async fn every_fault_is_named_where_it_is() {
    let world = World::new(ScriptedLauncher::new());
    for (change, pointer, code) in REFUSALS {
        let mut draft = SessionDraft::default();
        change(&mut draft);
        let refused = world.manager.create(&world.caller, draft).await;
        let Err(Error::Invalid(faults)) = refused else {
            unreachable!("{pointer} was accepted: {refused:?}")
        };
        let found: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect();
        assert_eq!(found, [(pointer, code)]);
    }
    let filter = domain::session::SessionFilter::default();
    let left = world.manager.list(&world.caller, &filter, &crate::world::all()).await.unwrap();
    assert_eq!(left.total, Some(domain::Total::exactly(0)));
    assert!(!world.settings.directories.workspaces.exists(), "a refused draft left a directory");
}

#[tokio::test]
async fn all_faults_are_named_at_once() {
    let world = World::new(ScriptedLauncher::new());
    let mut draft = SessionDraft::default();
    for (change, pointer, code) in REFUSALS {
        // The mode is one or the other: a fork has no parent here, and background needs no more than a message.
        if pointer != "/initial_message" && (pointer, code) != ("/parent_session_id", "unsupported") {
            change(&mut draft);
        }
    }
    let refused = world.manager.create(&world.caller, draft).await;
    let Err(Error::Invalid(faults)) = refused else { unreachable!("{refused:?}") };
    let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    for pointer in ["/parent_session_id", "/permission_mode", "/hooks_enabled/0", "/working_directory"] {
        assert!(pointers.contains(&pointer), "{pointer} is not among {pointers:?}");
    }
}

#[tokio::test]
async fn what_is_left_out_gets_its_default() {
    let world = World::new(ScriptedLauncher::new());
    let session = world.session().await;
    let session = world.get(session).await;
    assert_eq!((session.status, session.mode), (SessionStatus::Created, SessionMode::Interactive));
    assert_eq!(session.user_id, world.caller.user_id);
    let spec = session.spec;
    assert_eq!((spec.max_retries, spec.retry_delay_ms, spec.timeout_seconds), (2, 1000, 120));
    assert_eq!((spec.permission_mode.as_str(), spec.owns_directory), ("default", true));
    let home = world.settings.directories.workspaces.join(world.caller.user_id.to_string());
    assert_eq!(spec.working_directory, home.join(session.id.to_string()).display().to_string());
    assert!(std::path::Path::new(&spec.working_directory).is_dir());
}

#[tokio::test]
async fn what_an_agent_can_just_be_given_is_accepted() {
    let world = World::new(ScriptedLauncher::new());
    let mut draft = SessionDraft::default();
    (0..128).for_each(|n| set_env_to(&mut draft, &format!("MY_{n}"), &"x".repeat(32 * 1024)));
    // Goes to the agent by its stdin, where there is room.
    draft.system_prompt = Some("x".repeat(200 * 1024));
    draft.allowed_tools = Some(vec!["x".repeat(1023); 100]);
    world.session_of(draft).await;
}

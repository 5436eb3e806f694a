//! What a new session may not ask for.

use crate::world::World;
use domain::{SessionId, SessionMode, SessionStatus};
use engine::{Error, SessionDraft};
use sdk_runtime::testing::ScriptedLauncher;

type Change = fn(&mut SessionDraft);

/// What is asked for, where the fault is, and its word.
const REFUSALS: [(Change, &str, &str); 17] = [
    (|draft| draft.mode = Some(SessionMode::Forked), "/mode", "unsupported"),
    (|draft| draft.mode = Some(SessionMode::Background), "/initial_message", "required"),
    (|draft| draft.parent_session_id = Some(SessionId::new()), "/parent_session_id", "unsupported"),
    (|draft| draft.fork_at_message = Some(3), "/fork_at_message", "unsupported"),
    (|draft| draft.permission_mode = Some("yolo".into()), "/permission_mode", "enum"),
    (|draft| draft.sdk_options.effort = Some("huge".into()), "/sdk_options/effort", "enum"),
    (
        |draft| {
            draft.system_prompt = Some("one".into());
            draft.sdk_options.append_system_prompt = Some("two".into());
        },
        "/sdk_options/append_system_prompt",
        "conflict",
    ),
    (|draft| set_env(draft, "HOME"), "/sdk_options/env/HOME", "forbidden"),
    (|draft| set_env(draft, "ANTHROPIC_BASE_URL"), "/sdk_options/env/ANTHROPIC_BASE_URL", "forbidden"),
    (|draft| set_env(draft, "LD_PRELOAD"), "/sdk_options/env/LD_PRELOAD", "forbidden"),
    (|draft| draft.hooks_enabled = vec!["audit".into()], "/hooks_enabled/0", "unknown"),
    (|draft| draft.custom_policies = vec!["strict".into()], "/custom_policies/0", "unknown"),
    (|draft| draft.working_directory = Some("/etc".into()), "/working_directory", "outside"),
    (|draft| draft.working_directory = Some("../x".into()), "/working_directory", "path"),
    (|draft| draft.working_directory = Some(String::new()), "/working_directory", "path"),
    (
        |draft| draft.sdk_options.add_dirs = vec!["ok".into(), "/etc".into()],
        "/sdk_options/add_dirs/1",
        "outside",
    ),
    (|draft| draft.sdk_options.add_dirs = vec!["a/../b".into()], "/sdk_options/add_dirs/0", "path"),
];

fn set_env(draft: &mut SessionDraft, name: &str) {
    draft.sdk_options.env.insert(name.to_owned(), "x".to_owned());
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
    assert_eq!(left.total, 0);
    assert!(!world.settings.directories.workspaces.exists(), "a refused draft left a directory");
}

#[tokio::test]
async fn all_faults_are_named_at_once() {
    let world = World::new(ScriptedLauncher::new());
    let mut draft = SessionDraft::default();
    for (change, pointer, _) in REFUSALS {
        // The mode is one or the other, and background needs no more than a message.
        if pointer != "/initial_message" {
            change(&mut draft);
        }
    }
    let refused = world.manager.create(&world.caller, draft).await;
    let Err(Error::Invalid(faults)) = refused else { unreachable!("{refused:?}") };
    let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    for pointer in ["/mode", "/permission_mode", "/hooks_enabled/0", "/working_directory"] {
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

//! Spares of the real CLI: what a claim sets is what the agent has, and what it brought stays its own.

use std::{collections::BTreeMap, fs, sync::Arc};

use async_trait::async_trait;
use sdk_runtime::{
    AgentDefinition, AgentOptions, Claimed, ColdReason, Event, Frame, Hook, HookInput, HookOutput,
    HookRegistration, Origin, PermissionMode, ProcessLauncher, SeamError, SessionStart, SparePool,
    SpareSettings, SystemPrompt,
};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::bench::{Bench, marked, next, say, tool_results, wait_until};

fn pool(bench: &Bench, size: usize) -> SparePool {
    let settings = SpareSettings::new(bench.path("parking")).with_size(size);
    SparePool::new(Arc::new(ProcessLauncher), settings)
}

fn options(bench: &Bench) -> AgentOptions {
    bench.options().with_session(SessionStart::Unspecified)
}

/// Writes down what it is asked, and allows it.
struct Noting(mpsc::UnboundedSender<HookInput>);

#[async_trait]
impl Hook for Noting {
    async fn on(&self, input: HookInput) -> Result<HookOutput, SeamError> {
        self.0.send(input)?;
        Ok(HookOutput::allow_tool())
    }
}

#[tokio::test]
async fn a_claimed_spare_works_in_its_directory_under_its_hooks() {
    let bench = Bench::new().await;
    let pool = pool(&bench, 1);
    let usual = options(&bench).with_system_prompt(Some(SystemPrompt::Text("the house prompt".to_owned())));
    assert!(pool.prepare(&usual));
    pool.ready(1).await;
    let (heard, mut hooks) = mpsc::unbounded_channel();
    let hook = HookRegistration::new("PreToolUse", Arc::new(Noting(heard)));
    let claimed = pool.claim(usual.with_hook(hook).with_permission_mode(PermissionMode::AcceptEdits)).await;
    let Claimed { agent, mut events, origin, .. } = claimed.unwrap();
    assert!(matches!(origin, Origin::Spare { .. }), "{origin:?}");
    let id = say(&agent, r#"go [[tool:Bash {"command":"pwd > a.txt"}]][[next]][[text:done]]"#).await;
    let mut init = None;
    let result = loop {
        match next(&mut events).await {
            Event::Frame(Frame::System { subtype, raw }) if subtype == "init" => init = Some(raw),
            Event::Finished { prompts, result } if prompts == [id] => break result,
            Event::Exited(said) => panic!("{}", said.words()),
            _ => {}
        }
    };
    assert_eq!(result.text.as_deref(), Some("done"));
    let init = init.unwrap();
    assert_eq!(init["cwd"], bench.path("work").to_string_lossy().as_ref());
    assert_eq!(init["permissionMode"], "acceptEdits");
    let written = fs::read_to_string(bench.path("work/a.txt")).unwrap();
    assert_eq!(written.trim(), bench.path("work").to_string_lossy());
    let input = hooks.recv().await.unwrap();
    assert_eq!(input.tool_input["command"], "pwd > a.txt");
    assert_eq!(input.raw["cwd"], bench.path("work").to_string_lossy().as_ref());
    let body = String::from_utf8_lossy(&bench.model.requests()[0].body).into_owned();
    assert!(body.contains("the house prompt"), "registering hooks left the prompt as it was");
    assert!(agent.close().await.code.is_some());
    pool.shutdown().await;
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn what_the_cli_refuses_at_a_claim_is_started_cold() {
    let bench = Bench::new().await;
    let pool = pool(&bench, 1);
    let mut bypassing = options(&bench).with_permission_mode(PermissionMode::BypassPermissions);
    // Root is asked for this before it may bypass anything.
    bypassing.env.insert("IS_SANDBOX".to_owned(), "1".to_owned());
    pool.prepare(&bypassing);
    pool.ready(1).await;
    let claimed = pool.claim(bypassing).await.unwrap();
    assert!(matches!(claimed.origin, Origin::Cold(ColdReason::Refused(_))), "{:?}", claimed.origin);
    assert_eq!(pool.stats().discarded_refused, 1);
    claimed.agent.kill().await;
    pool.shutdown().await;
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn secrets_and_subagents_of_a_claim_are_its_own() {
    let bench = Bench::new().await;
    let pool = pool(&bench, 2);
    let usual = options(&bench).with_allowed_tools(vec!["Bash".to_owned()]);
    pool.prepare(&usual);
    pool.ready(2).await;
    let before = marked(&bench.host_marker).len();
    assert_eq!(before, 2);
    let claim = |token: &str| {
        let agents = BTreeMap::from([(token.to_owned(), AgentDefinition::new("d", "p"))]);
        let mut options = usual.clone().with_agents(agents);
        options.env.insert("CLAUDE_CODE_HOST_SESSION_ID".to_owned(), format!("secret-{token}"));
        pool.claim(options)
    };
    let (one, other) = tokio::join!(claim("plum"), claim("pear"));
    let tool = r#"go [[tool:Bash {"command":"env | grep -o 'secret-[a-z]*'; true"}]][[next]][[text:done]]"#;
    for (claimed, own, foreign) in [(one, "plum", "pear"), (other, "pear", "plum")] {
        let Claimed { agent, mut events, origin, .. } = claimed.unwrap();
        assert!(matches!(origin, Origin::Spare { .. }), "{origin:?}");
        let agents = agent.initialized().raw["agents"].to_string();
        assert!(agents.contains(own) && !agents.contains(foreign), "{agents}");
        let id = say(&agent, tool).await;
        let told = tool_results(&mut events, id).await.concat();
        assert!(!told.contains(foreign), "{told}");
        agent.close().await;
    }
    pool.shutdown().await;
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_dropped_pool_leaves_nothing_and_a_dead_spare_is_replaced() {
    let bench = Bench::new().await;
    let pool = pool(&bench, 1);
    pool.prepare(&options(&bench));
    pool.ready(1).await;
    let first = marked(&bench.host_marker);
    let pid = nix::unistd::Pid::from_raw(first[0]);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_until(|| pool.stats().discarded_died == 1).await;
    pool.ready(1).await;
    let session = SessionStart::New { id: Uuid::new_v4() };
    let claimed = pool.claim(bench.options().with_session(session)).await.unwrap();
    assert!(matches!(claimed.origin, Origin::Cold(ColdReason::NotClaimable(_))));
    drop((pool, claimed));
    bench.assert_nothing_left().await;
}

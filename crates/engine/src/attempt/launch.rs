//! Launching: the agent a session needs, governed and contained before it is handed anything.

use crate::{
    SelfTestSetting, SessionManager,
    agent::{self, NotPrepared, TakeUp},
    attempt::{Cut, Ended},
    canary::{self, NotGoverned},
    live::{LiveAgent, Stop},
    run::stopped,
};
use domain::{AgentScope, Session, TurnFailure, TurnStatus, session::AgentConversation};
use futures::FutureExt;
use monitoring::{AgentStart, spans};
use sdk_runtime::{Agent, Exceeded, TraceContext};
use std::{io::ErrorKind, panic::AssertUnwindSafe, sync::Arc};
use tokio::{sync::watch, time::Instant};
use tracing::Instrument;

/// What it takes to start a session's agent.
pub(crate) struct Launching<'a> {
    pub manager: &'a SessionManager,
    pub session: &'a Session,
    pub take_up: TakeUp,
    pub deadline: Instant,
}

impl Launching<'_> {
    /// Starts the agent, or says how the attempt ended without one.
    pub(crate) async fn run(
        &self,
        stop: &mut watch::Receiver<Option<Stop>>,
    ) -> Result<(LiveAgent, AgentConversation), Ended> {
        let metrics = &self.manager.inner.metrics;
        let (_starting, began) = (metrics.agent_starting(), Instant::now());
        // In a box: most turns find an agent and start none, and their tasks are moved with room for all of this.
        let started = Box::pin(self.start(stop)).await;
        let outcome = match &started {
            Ok(_) => AgentStart::Started,
            Err(ended) if ended.status == TurnStatus::Interrupted => AgentStart::Stopped,
            Err(_) => AgentStart::Failed,
        };
        metrics.record_agent_start(outcome, began.elapsed());
        started
    }

    async fn start(
        &self,
        stop: &mut watch::Receiver<Option<Stop>>,
    ) -> Result<(LiveAgent, AgentConversation), Ended> {
        let inner = &self.manager.inner;
        let session = self.session;
        let endpoint =
            inner.model_access.admit(AgentScope { session_id: session.id, user_id: session.user_id });
        // Of the turn, which its spans stand below; starting it is only a step of that.
        let trace = trace_context();
        let started = async {
            inner.live.closed(session.id).await;
            self.manager.bring_back_lost(session).await.map_err(|error| not_prepared(error.into()))?;
            let has_transcript = self.manager.check_out(session).await;
            let has_transcript = has_transcript.map_err(|error| not_prepared(error.into()).retryable())?;
            let launch = agent::prepare(
                &inner.settings,
                &inner.governance,
                session,
                &endpoint,
                self.take_up,
                has_transcript,
            );
            let mut launch = launch.map_err(not_prepared)?;
            launch.options.trace_context = trace;
            launch.options.mcp_servers = self.manager.mcp_config(session).await.map_err(not_prepared)?;
            launch.options.session_store = Some(self.manager.session_store(session));
            let options = launch.governed.install(launch.options, &inner.hooks, session).await;
            let options = options.map_err(|error| not_prepared(error.into()))?;
            canary::ask(&options).await.map_err(|error| not_governed(&error))?;
            let began = Instant::now();
            tokio::select! {
                // Together, because each takes as long as the CLI takes to start.
                (started, tested) = async {
                    let started = async {
                        let started = Agent::start(inner.launcher.as_ref(), options).await;
                        if let Ok((agent, _)) = &started {
                            inner.handshake.note_start(self.manager, agent, began.elapsed());
                        }
                        started
                    };
                    tokio::join!(started, self.self_test())
                } => {
                    let (agent, events) = started.map_err(|error| not_started(&error))?;
                    if let Err(ended) = tested {
                        agent.kill().await;
                        return Err(ended);
                    }
                    let token = endpoint.token.clone();
                    let (subject, governed) = (session.into(), launch.governed);
                    let spec = Box::new(session.spec.clone());
                    let servers = session.spec.sdk_options.mcp_servers.keys().cloned().collect();
                    let mcp = inner.mcp_agents.register(session.id, &agent, servers);
                    let last_look = Arc::default();
                    let live = LiveAgent { agent, events, token, subject, spec, governed, last_look, mcp };
                    Ok((live, launch.conversation))
                }
                why = stopped(stop) => Err(Ended::stopped(why)),
                () = tokio::time::sleep_until(self.deadline) => Err(Cut::Deadline.ended(session)),
            }
        };
        let step = spans::start_agent();
        let started = AssertUnwindSafe(started).catch_unwind().instrument(step.span()).await;
        let started = started.unwrap_or_else(|_| Err(Ended::panicked(session.id)));
        if let Err(ended) = &started {
            step.fail(ended.failure.map_or("stopped", TurnFailure::as_str));
            inner.model_access.revoke(&endpoint.token).await;
        }
        started
    }

    async fn self_test(&self) -> Result<(), Ended> {
        let inner = &self.manager.inner;
        match inner.settings.governance.self_test {
            SelfTestSetting::Skip => Ok(()),
            SelfTestSetting::Run => {
                inner.self_test.passes(self.manager).await.map_err(|error| not_governed(&error))
            }
        }
    }
}

/// Where the agent's work belongs, if it is recorded at all.
fn trace_context() -> Option<TraceContext> {
    let (parent, state) = spans::trace_parent()?;
    // It was made by ourselves, so it is one.
    TraceContext::new(&parent, Some(&state)).ok()
}

fn not_governed(error: &NotGoverned) -> Ended {
    Ended::failed(TurnFailure::AgentUnavailable, format!("could not {error}"))
}

pub(super) fn limit_exceeded(exceeded: Exceeded) -> Ended {
    Ended::failed(TurnFailure::AgentLimitExceeded, format!("the agent was ended: {exceeded}"))
}

fn not_prepared(error: NotPrepared) -> Ended {
    let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    let failure = match error {
        NotPrepared::DirectoryRefused(_)
        | NotPrepared::NotContained(_)
        | NotPrepared::Hooks(_)
        | NotPrepared::McpServer { .. }
        | NotPrepared::Failed(_) => TurnFailure::AgentUnavailable,
        NotPrepared::TranscriptLost | NotPrepared::TranscriptUnreadable(_) => TurnFailure::AgentFailed,
    };
    Ended::failed(failure, format!("could not {error}{source}"))
}

fn not_started(error: &sdk_runtime::Error) -> Ended {
    use sdk_runtime::Error as E;
    let message = match error {
        // Where the server keeps its CLI is the log's to tell, not the turn's.
        E::Spawn { source, .. } => format!("could not start the agent: {source}"),
        E::CliNotFound { .. } => "could not find the agent CLI".to_owned(),
        E::CliNotExecutable { why, .. } => format!("could not run the agent CLI: {why}"),
        E::CwdNotFound { .. } => "could not find the agent's working directory".to_owned(),
        E::NotContained { .. } => "could not contain the agent".to_owned(),
        error => format!("could not {error}"),
    };
    // Of an error JSON logs show no more than the first of its chain, so the reason stands beside it.
    tracing::warn!(error = error as &dyn std::error::Error, reason = message, "an agent did not start");
    match error {
        E::CliNotFound { .. }
        | E::CliNotExecutable { .. }
        | E::CwdNotFound { .. }
        | E::NotContained { .. }
        | E::CliTooOld { .. }
        | E::HooksFailOpen { .. }
        | E::VersionUnreadable { .. } => Ended::failed(TurnFailure::AgentUnavailable, message),
        E::Startup { said } | E::Exited { said, .. } | E::HandshakeTimeout { said, .. }
            if let Some(exceeded) = said.exit.exceeded =>
        {
            limit_exceeded(exceeded)
        }
        // It said why it will not start, and would say it again.
        E::Startup { said } if said.exit.code.is_some() => Ended::failed(TurnFailure::AgentFailed, message),
        // What the agent was to be given contradicts itself, or it did not take what must hold.
        E::InvalidOption { .. } | E::NotApplied { .. } => Ended::failed(TurnFailure::AgentFailed, message),
        // What the agent was to be given cannot be given to any process.
        E::Spawn { source, .. }
            if matches!(source.kind(), ErrorKind::InvalidInput | ErrorKind::ArgumentListTooLong) =>
        {
            Ended::failed(TurnFailure::AgentFailed, message)
        }
        E::Spawn { .. }
        | E::Startup { .. }
        | E::HandshakeTimeout { .. }
        | E::Exited { .. }
        | E::Control { .. }
        | E::Unsupported { .. }
        | E::UnreadableAnswer { .. }
        | E::ControlTimeout { .. }
        | E::DuplicatePrompt { .. }
        | E::SessionStore { .. }
        | E::Closed => Ended::failed(TurnFailure::AgentFailed, message).retryable(),
    }
}

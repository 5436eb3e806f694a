//! Agents, launchers and callbacks at their worst.

use std::{future::Future, io, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::join_all;
use sdk_runtime::{
    Agent, AgentOptions, Conversation, Decision, Error, Event, Gate, Invocation, Launcher, Limits, SeamError,
    SkipReason, ToolQuestion, Transport, gate_fn, recording::Recorder, testing::ScriptedLauncher,
};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::puppet::{puppet, theatre};

#[tokio::test(start_paused = true)]
async fn answers_out_of_order_find_who_asked() {
    let (agent, _events, mut strings) = puppet(AgentOptions::default()).await;
    let asked = |name: &'static str| {
        let agent = agent.clone();
        async move { agent.control(name, json!({})).await.unwrap()["for"].clone() }
    };
    let answering = async {
        let mut requests = Vec::new();
        for _ in 0..3 {
            requests.push(strings.hear().await.unwrap());
        }
        for request in requests.iter().rev() {
            strings.answer(request, json!({ "for": request["request"]["subtype"] })).await;
            // A second answer to the same is passed over.
            strings.answer(request, json!({ "for": "nobody" })).await;
        }
    };
    let (one, two, three, ()) = tokio::join!(asked("one"), asked("two"), asked("three"), answering);
    assert_eq!([one, two, three], ["one", "two", "three"]);
    // The pipe of the strings is still there, and so is the agent.
    let (four, ()) = tokio::join!(asked("four"), async {
        let request = strings.hear().await.unwrap();
        strings.answer(&request, json!({ "for": "four" })).await;
    });
    assert_eq!(four, "four");
}

#[tokio::test(start_paused = true)]
async fn a_long_prompt_passes_an_agent_that_floods_before_it_reads() {
    let (agent, mut events, mut strings) = puppet(AgentOptions::default()).await;
    let long = "x".repeat(8 << 20);
    let (sent, strings) = tokio::join!(agent.prompt(long.clone()), async {
        // It writes 16 MB before it reads a byte: a host that waited for one with the other would hang.
        let line = format!("{}\n", json!({ "type": "new_kind", "text": "y".repeat(64 << 10) }));
        for _ in 0..256 {
            strings.voice.write_all(line.as_bytes()).await.unwrap();
        }
        let prompt = strings.hear().await.unwrap();
        assert_eq!(prompt["message"]["content"].as_str().unwrap().len(), long.len());
        strings
    });
    sent.unwrap();
    for _ in 0..256 {
        assert!(matches!(events.next().await.unwrap(), Event::Frame(_)));
    }
    drop(strings);
}

/// Starts an agent and says that it could not.
struct HalfWay(ScriptedLauncher);

#[async_trait]
impl Launcher for HalfWay {
    async fn launch(&self, invocation: &Invocation) -> Result<Transport, Error> {
        let _started = self.0.launch(invocation).await?;
        Err(Error::NotContained { why: "the second half failed".to_owned() })
    }
}

#[tokio::test(start_paused = true)]
async fn a_launcher_that_fails_half_way_leaves_nothing() {
    let launcher = HalfWay(ScriptedLauncher::new());
    let error = Agent::start(&launcher, AgentOptions::default()).await.map(drop).unwrap_err();
    assert!(matches!(error, Error::NotContained { .. }), "{error:?}");
    // By its closed stdin or by the kill, whichever it notices first.
    launcher.0.last_agent().ended().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_whose_pipes_are_closed_from_the_first_moment_is_ended_and_the_start_says_so() {
    let (theatre, mut waiting) = theatre();
    let (started, haste) = tokio::join!(Agent::start(&theatre, AgentOptions::default()), async {
        let strings = waiting.recv().await.unwrap();
        strings.haste
    });
    let error = started.map(drop).unwrap_err();
    assert!(matches!(error, Error::Startup { .. }), "{error:?}");
    assert!(haste.borrow().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_agents_dropped_at_once_all_end() {
    let launcher = ScriptedLauncher::new();
    let agents = join_all((0..1000).map(|_| Agent::start(&launcher, AgentOptions::default()))).await;
    let agents: Vec<_> = agents.into_iter().map(Result::unwrap).collect();
    assert_eq!(launcher.alive().len(), 1000);
    drop(agents);
    for agent in launcher.agents() {
        assert_eq!(agent.ended().await.signal, Some(9));
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_panics_takes_its_agents_along() {
    let launcher = ScriptedLauncher::new();
    let (conversation, _background) = Conversation::start(&launcher, AgentOptions::default()).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "a task of the host's, that panics")]
    let host = tokio::spawn(async move {
        let _turn = conversation.send("go").await.unwrap();
        panic!("on purpose");
    });
    assert!(host.await.unwrap_err().is_panic());
    assert_eq!(launcher.last_agent().ended().await.signal, Some(9));
}

/// Panics when it is asked, before there is a future to await.
struct Hasty;

impl Gate for Hasty {
    fn can_use_tool<'gate, 'answer>(
        &'gate self,
        _: ToolQuestion,
    ) -> Pin<Box<dyn Future<Output = Result<Decision, SeamError>> + Send + 'answer>>
    where
        'gate: 'answer,
        Self: 'answer,
    {
        panic!("on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_panics_before_it_awaits_anything_is_a_no() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        say.tool("Bash", json!({}), "ran").await;
    });
    let options = AgentOptions::default().with_gate(Some(Arc::new(Hasty) as Arc<dyn Gate>));
    let (conversation, _background) = Conversation::start(&launcher, options).await.unwrap();
    let turn = conversation.send("go").await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), turn.text()).await.unwrap().unwrap();
    let answer = launcher.last_agent().answers().pop().unwrap();
    assert_eq!(answer["response"]["behavior"], "deny", "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_recording_whose_redaction_panics_says_so_and_disturbs_nobody() {
    let recorder = Recorder::to_sink(ScriptedLauncher::new(), |_| Ok(Box::new(io::sink())))
        .with_redaction(|_, _| panic!("on purpose"));
    let (conversation, _background) = Conversation::start(&recorder, AgentOptions::default()).await.unwrap();
    assert_eq!(conversation.send("x").await.unwrap().text().await.unwrap(), "done");
    conversation.close().await;
    let error = recorder.finished().await.unwrap_err();
    assert!(error.to_string().contains("broke down"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_a_closed_agent_is_asked_fails_at_once_with_its_words() {
    let mut limits = Limits::default();
    limits.close_grace = Duration::from_secs(1);
    let (agent, _events) =
        Agent::start(&ScriptedLauncher::new(), AgentOptions::default().with_limits(limits)).await.unwrap();
    agent.close().await;
    let began = tokio::time::Instant::now();
    assert!(matches!(agent.prompt("x").await.unwrap_err(), Error::Exited { .. }));
    assert!(matches!(agent.control("x", json!({})).await.unwrap_err(), Error::Exited { .. }));
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_request_too_many_is_refused_so_that_its_tool_does_not_wait_for_ever() {
    let mut limits = Limits::default();
    limits.requests_max = 2;
    let gate = gate_fn(|_| std::future::pending());
    let options = AgentOptions::default().with_cwd("/srv/demo").with_limits(limits).with_gate(Some(gate));
    let (_agent, mut events, mut strings) = puppet(options).await;
    for number in 1..=3 {
        let request =
            json!({ "subtype": "can_use_tool", "tool_name": "Bash", "input": {}, "tool_use_id": "t" });
        let id = format!("r{number}");
        strings.say(&json!({ "type": "control_request", "request_id": id, "request": request })).await;
    }
    let refused = strings.hear().await.unwrap();
    assert_eq!(refused["response"]["request_id"], "r3", "{refused}");
    assert_eq!(refused["response"]["subtype"], "error", "{refused}");
    let told = events.next().await.unwrap();
    assert!(matches!(told, Event::Skipped { reason: SkipReason::TooManyRequests, .. }), "{told:?}");
}

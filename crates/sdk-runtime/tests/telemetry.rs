//! What this crate says to `tracing`, and that none of it is content.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to fail")]

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use sdk_runtime::{
    Agent, AgentOptions, Decision, ElicitationAnswer, Event, HookRegistration, PromptContent, SystemPrompt,
    elicitor_fn, hook::Reply, testing::ScriptedLauncher,
};
use serde_json::json;
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{Layer, layer::Context, prelude::*, registry::LookupSpan};

/// Everything that was said: names of spans and events with their fields.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Record>>>);

#[derive(Clone, Default, Debug)]
struct Record {
    id: Option<u64>,
    name: String,
    fields: BTreeMap<String, String>,
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Heard {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, _: Context<'_, S>) {
        let name = attributes.metadata().name().to_owned();
        let mut record = Record { id: Some(id.into_u64()), name, ..Record::default() };
        attributes.record(&mut record);
        self.0.lock().unwrap().push(record);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
        let mut heard = self.0.lock().unwrap();
        // Ids are used again; the last span of this id is the one that is open.
        let open = heard.iter_mut().rev().find(|record| record.id == Some(id.into_u64()));
        values.record(open.unwrap());
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut record = Record::default();
        event.record(&mut record);
        record.name = record.fields.get("message").cloned().unwrap_or_default();
        self.0.lock().unwrap().push(record);
    }
}

impl Heard {
    fn named(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let heard = self.0.lock().unwrap();
        heard.iter().filter(|record| record.name == name).map(|record| record.fields.clone()).collect()
    }
}

#[tokio::test]
async fn spans_tell_outcomes_and_durations_and_no_content() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(heard.clone()));
    let launcher = ScriptedLauncher::new()
        .on_control("set_model", |_| Err("hush".to_owned()))
        .on_control("mcp_status", |_| Ok(json!({ "mcpServers": "hush" })))
        .on_prompt(|_, say| async move {
            say.tool("Bash", json!({ "command": "echo hush" }), "hush").await;
            say.ask(json!({ "subtype": "elicitation", "message": "hush" })).await;
            say.text("hush");
        });
    let options = AgentOptions::default()
        .with_system_prompt(SystemPrompt::Text("hush".to_owned()))
        .with_env([("TOKEN".to_owned(), "hush".to_owned())])
        .with_extra_args(vec![("title".to_owned(), Some("hush".to_owned()))])
        .with_hook(HookRegistration::pre_tool_use(|_| async { Ok(Reply::ask("hush")) }))
        .with_hook(HookRegistration::session_start(|_| async { Err("hush".into()) }))
        .with_elicitor(elicitor_fn(|_| async {
            Ok(ElicitationAnswer::accept([("a".to_owned(), json!("hush"))]))
        }))
        .with_gate_fn(|_| async { Ok(Decision::deny("hush")) });
    let (agent, mut events) = Agent::start(&launcher, options).await.unwrap();
    agent.prompt(PromptContent::Text("hush".to_owned())).await.unwrap();
    loop {
        match events.next().await.unwrap() {
            Event::Finished { .. } => break,
            Event::Exited(said) => panic!("{said:?}"),
            _ => {}
        }
    }
    agent.set_model(Some("hush")).await.unwrap_err();
    let unreadable = agent.mcp_status().await.unwrap_err();
    assert!(matches!(unreadable, sdk_runtime::Error::UnreadableAnswer { .. }), "{unreadable:?}");
    agent.close().await;
    drop(events);

    let starts = heard.named("agent.start");
    assert_eq!((starts.len(), starts[0]["outcome"].as_str()), (1, "\"started\""));
    assert!(starts[0].contains_key("duration_ms") && starts[0].contains_key("version"), "{starts:?}");
    let controls = heard.named("agent.control");
    let outcomes: Vec<_> =
        controls.iter().map(|span| (span["subtype"].as_str(), span["outcome"].as_str())).collect();
    let wanted = [
        ("\"initialize\"", "\"answered\""),
        ("\"set_model\"", "\"refused\""),
        ("\"mcp_status\"", "\"answered\""),
    ];
    assert_eq!(outcomes, wanted);
    assert!(controls.iter().all(|span| span["agent"] == starts[0]["agent"]));
    let hooks = heard.named("agent.hook");
    assert_eq!(
        (hooks[0]["event"].as_str(), hooks[0]["outcome"].as_str()),
        ("\"PreToolUse\"", "\"answered\"")
    );
    let gates = heard.named("agent.gate");
    assert_eq!((gates[0]["tool"].as_str(), gates[0]["outcome"].as_str()), ("\"Bash\"", "\"deny\""));
    assert!(gates[0].contains_key("duration_ms"));
    assert_eq!(heard.named("agent.elicitation")[0]["outcome"], "\"answered\"");
    let counts = ["prompt sent", "turn ended", "agent ended"].map(|event| heard.named(event).len());
    assert_eq!(counts, [1, 1, 1]);
    let late =
        heard.named("this hook is registered after the agent's start and only hears of what comes later");
    assert_eq!(late.len(), 1);
    let all = format!("{:?}", heard.0.lock().unwrap());
    assert!(!all.contains("hush"), "{all}");
}

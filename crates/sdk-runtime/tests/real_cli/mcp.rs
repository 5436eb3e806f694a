//! In-process MCP servers as the real CLI uses them.

use std::{future::pending, sync::Arc};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
};
use sdk_runtime::{
    Agent, Decision, DropReason, Event, Frame, Outcome, PromptContent, Queued,
    mcp::{McpPermission, McpServer, Structured, Tool, ToolCall, ToolError, ToolOutput},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    bench::{Bench, next, result_of, say, tool_results},
    tap::Tap,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

pub(crate) fn calc() -> McpServer {
    McpServer::new("calc")
        .with_tool(
            Tool::new("add", "Adds two numbers", |Add { a, b }: Add, call: ToolCall| async move {
                call.progress(0.5, Some(1.0), Some("adding")).await;
                Ok(Structured(json!({ "sum": a + b })))
            })
            .read_only(),
        )
        .with_tool(Tool::new("who", "Says which call it is", |(): (), call: ToolCall| async move {
            call.tool_use_id().map(str::to_owned).ok_or_else(|| ToolError::new("nobody knows"))
        }))
        .with_tool(Tool::new("fails", "Fails", |(): (), _| async {
            Err::<(), _>(ToolError::new("the ledger is closed"))
        }))
        .with_tool(Tool::new("dot", "A picture", |(): (), _| async {
            // The smallest PNG there is.
            let png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
            Ok(ToolOutput::text("here").with_block(json!({ "type": "image", "data": png, "mimeType": "image/png" })))
        }))
}

/// An `rmcp` service that echoes.
struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let Value::Object(schema) = json!({ "type": "object", "properties": {} }) else {
            panic!("an object")
        };
        let tool = rmcp::model::Tool::new("echo", "Says its input", Arc::new(schema));
        Ok(ListToolsResult::with_all_items(vec![tool]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = Value::Object(request.arguments.unwrap_or_default()).to_string();
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

fn allowed(servers: &[&str]) -> Vec<String> {
    servers.iter().map(|server| format!("mcp__{server}")).collect()
}

/// The tool results of one prompt.
async fn say_and_read(agent: &Agent, events: &mut sdk_runtime::Events, text: &str) -> Vec<String> {
    let id = say(agent, text).await;
    tool_results(events, id).await
}

#[tokio::test]
async fn only_calls_cross_the_pipe() {
    let never = Tool::new("never", "Is denied", |(): (), _| async { Ok("it ran") });
    let bench = Bench::new().await;
    let tap = Tap::default();
    let options = bench
        .options()
        .with_mcp_server(
            "calc",
            calc().with_tool_permission("never", McpPermission::AlwaysDeny).with_tool(never),
        )
        .with_mcp_server(
            "svc",
            McpServer::from_service(Echo).with_tool_permission("echo", McpPermission::AlwaysAllow),
        )
        .with_allowed_tools(allowed(&["calc"]));
    let (agent, mut events) = Agent::start(&tap, options).await.unwrap();
    let parked = &agent.initialized().raw["sdk_mcp_manifests_parked"];
    assert_eq!(parked, &json!({ "calc": "parked", "svc": "parked" }));
    let told = say_and_read(
        &agent,
        &mut events,
        r#"go [[tool!:mcp__calc__add {"a":1,"b":2}]][[tool!:mcp__svc__echo {"x":"y"}]][[tool!:mcp__calc__who {}]][[next]][[tool!:mcp__calc__fails {}]][[tool!:mcp__calc__dot {}]][[tool!:mcp__calc__never {}]][[next]][[text:end]]"#,
    )
    .await;
    let all = told.join("\n");
    for wanted in [r#"{\"sum\":3}"#, r#"{\"x\":\"y\"}"#, "toolu_", "the ledger is closed", "\"image\""] {
        assert!(all.contains(wanted), "{wanted} is missing: {told:#?}");
    }
    assert!(!all.contains("it ran"), "{told:#?}");
    let mut methods = tap.mcp_methods();
    methods.sort_unstable();
    let mut wanted = vec!["calc tools/call"; 4];
    wanted.push("svc tools/call");
    assert_eq!(methods, wanted);

    // Connected anew, each server is asked as if it had never been introduced.
    for server in ["calc", "svc"] {
        for enabled in [false, true] {
            let body = json!({ "serverName": server, "enabled": enabled });
            agent.control("mcp_toggle", body).await.unwrap();
        }
        assert!(tap.mcp_methods().contains(&format!("{server} initialize")));
    }
    let again =
        r#"go [[tool!:mcp__svc__echo {"x":"z"}]][[tool!:mcp__calc__add {"a":2,"b":2}]][[next]][[text:end]]"#;
    let all = say_and_read(&agent, &mut events, again).await.join("\n");
    assert!(all.contains(r#"{\"x\":\"z\"}"#) && all.contains(r#"{\"sum\":4}"#), "{all}");
    agent.close().await;
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_call_that_is_too_deep_to_be_asked_about_is_refused_and_the_turn_ends() {
    let bench = Bench::new().await;
    let options = bench
        .options()
        .with_gate_fn(|_| async { Ok(Decision::allow()) })
        .with_mcp_server("svc", McpServer::from_service(Echo));
    let (agent, mut events) = bench.start(options).await;
    let prompt = |depth: usize| {
        let input = (0..depth).fold(json!("y"), |inner, _| json!({ "x": inner }));
        format!("go [[tool!:mcp__svc__echo {input}]][[next]][[text:end]]")
    };
    let told = say_and_read(&agent, &mut events, &prompt(100)).await;
    assert!(told.len() == 1 && told[0].contains(r#"\"y\""#), "{told:?}");

    // The model may write it, and the question about it is deeper by two. So is the result of the turn, which names what
    // was denied, and is lost.
    let id = say(&agent, &prompt(126)).await;
    let mut is_refused = false;
    loop {
        match next(&mut events).await {
            Event::Frame(Frame::User { raw, .. }) => {
                is_refused |= raw.to_string().contains("could not read this request");
            }
            Event::Dropped { prompts, why } => {
                assert_eq!((prompts, why), (vec![id], DropReason::ResultMissing));
                break;
            }
            Event::Exited(said) => panic!("the agent ended: {}", said.words()),
            _ => {}
        }
    }
    assert!(is_refused);
    agent.close().await;
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn an_interrupt_drops_the_running_call_and_the_next_one_works() {
    struct Dropped(mpsc::UnboundedSender<&'static str>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }
    let (seen, mut signs) = mpsc::unbounded_channel();
    let endless = Tool::new("endless", "Never ends", move |(): (), _| {
        let seen = seen.clone();
        async move {
            let _ = seen.send("started");
            let _dropped = Dropped(seen);
            pending::<()>().await;
            Ok(())
        }
    });
    let bench = Bench::new().await;
    let tap = Tap::default();
    let options = bench
        .options()
        .with_mcp_server("calc", calc().with_tool(endless))
        .with_allowed_tools(allowed(&["calc"]));
    let (agent, mut events) = Agent::start(&tap, options).await.unwrap();
    let prompt = PromptContent::Text("go [[tool!:mcp__calc__endless {}]][[next]][[text:end]]".to_owned());
    let id = agent.prompt(prompt).await.unwrap();
    assert_eq!(signs.recv().await, Some("started"));
    agent.interrupt(Queued::Keep).await.unwrap();
    assert_eq!(signs.recv().await, Some("dropped"));
    assert_eq!(result_of(&mut events, id).await.outcome(), Outcome::Interrupted);
    assert_eq!(tap.mcp_methods(), ["calc tools/call", "calc notifications/cancelled"]);
    let next = r#"go [[tool!:mcp__calc__add {"a":1,"b":2}]][[next]][[text:end]]"#;
    let told = say_and_read(&agent, &mut events, next).await;
    assert!(told[0].contains("sum"), "{told:?}");
    agent.close().await;
}

#[tokio::test]
async fn servers_come_and_change_while_the_agent_runs() {
    let bench = Bench::new().await;
    let tap = Tap::default();
    let options = bench.options().with_allowed_tools(allowed(&["calc"]));
    let (agent, mut events) = Agent::start(&tap, options).await.unwrap();
    let server = calc().with_tool_permission("who", McpPermission::AlwaysDeny);
    let set = agent.set_mcp_servers([("calc".to_owned(), server.clone().into())].into()).await.unwrap();
    assert_eq!((set.added, set.errors.len()), (vec!["calc".to_owned()], 0));
    let told = say_and_read(
        &agent,
        &mut events,
        r#"go [[tool!:mcp__calc__add {"a":1,"b":2}]][[tool!:mcp__calc__who {}]][[next]][[text:end]]"#,
    )
    .await;
    assert!(told.iter().any(|told| told.contains("sum")), "{told:?}");
    assert!(!told.iter().any(|told| told.contains("toolu_")), "it is denied: {told:?}");

    // The agent asks for the list again when it is told that it changed.
    let lists = || tap.mcp_methods().iter().filter(|method| *method == "calc tools/list").count();
    let before = lists();
    server.put_tool(Tool::new("late", "Comes late", |(): (), _| async { Ok("better than never") }));
    crate::bench::wait_until(|| lists() > before).await;
    let told = say_and_read(&agent, &mut events, "go [[tool!:mcp__calc__late {}]][[next]][[text:end]]").await;
    assert!(told[0].contains("better than never"), "{told:?}");

    let set = agent.set_mcp_servers([].into()).await.unwrap();
    assert_eq!(set.removed, ["calc"]);
    let told = say_and_read(&agent, &mut events, "go [[tool!:mcp__calc__late {}]][[next]][[text:end]]").await;
    assert!(!told[0].contains("better than never"), "{told:?}");
    agent.close().await;
}

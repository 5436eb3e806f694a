//! A rehearsal: the gateway plays the model, and nobody pays.

use domain::{ModelAccess, RehearsedCall};
use serde_json::{Value, json};

use crate::{World, error_type, offline_model};

fn asking(further: &Value, stream: bool) -> String {
    let mut messages = vec![json!({"role": "user", "content": "go"})];
    messages.extend(further.as_array().into_iter().flatten().cloned());
    json!({"model": "claude-opus-5-5", "stream": stream, "tools": [{"name": "Bash"}], "messages": messages})
        .to_string()
}

#[tokio::test]
async fn a_rehearsed_model_makes_its_call_once_and_nothing_is_asked_or_booked() {
    let model = offline_model().await;
    let mut world = World::new(&model.url()).await;
    let input = json!({"command": "echo hi"});
    let call = RehearsedCall {
        tool_use_id: "toolu_x".to_owned(),
        tool_name: "Bash".to_owned(),
        input: input.clone(),
    };
    world.agent = world.gateway.rehearse(call);
    let answer = async |body: String| world.request(body).send().await.unwrap();

    let first: Value = answer(asking(&json!([]), false)).await.json().await.unwrap();
    assert_eq!(
        first["content"][0],
        json!({"type": "tool_use", "id": "toolu_x", "name": "Bash", "input": input})
    );
    assert_eq!(first["stop_reason"], "tool_use");
    let streamed = answer(asking(&json!([]), true)).await;
    assert_eq!(streamed.headers()["content-type"], "text/event-stream");
    assert!(streamed.text().await.unwrap().contains(r#""partial_json":"{\"command\":\"echo hi\"}""#));
    let result = json!([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_x", "content": "no"}]}]);
    let last: Value = answer(asking(&result, false)).await.json().await.unwrap();
    assert_eq!((&last["content"][0]["type"], &last["stop_reason"]), (&json!("text"), &json!("end_turn")));
    let without_tools: Value = world.ask("go").await.json().await.unwrap();
    assert_eq!(without_tools["stop_reason"], "end_turn", "what was not offered is not called");

    assert!(model.requests().is_empty() && world.budgets.booked().is_empty());
    world.gateway.revoke(&world.agent.token).await;
    assert_eq!(error_type(world.ask("go").await).await, "authentication_error");
}

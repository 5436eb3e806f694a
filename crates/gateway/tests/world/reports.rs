//! What agents report about themselves: whose it is, what is taken, and what is not.

use std::sync::{Arc, Mutex};

use domain::{
    AgentScope, ModelAccess,
    ports::{AgentTelemetry, TelemetrySignal, UnreadableReport},
};
use gateway::{Options, limits::REPORT_BYTES_MAX};

use crate::World;

const PROTOBUF: &str = "application/x-protobuf";

/// Keeps what it is given; what begins with a question mark cannot be read.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<(AgentScope, TelemetrySignal, Vec<u8>)>>);

impl AgentTelemetry for Kept {
    fn take(&self, from: AgentScope, signal: TelemetrySignal, body: &[u8]) -> Result<(), UnreadableReport> {
        if body.starts_with(b"?") {
            return Err(UnreadableReport(signal));
        }
        self.0.lock().unwrap().push((from, signal, body.to_vec()));
        Ok(())
    }
}

async fn world() -> (World, Arc<Kept>) {
    let kept = Arc::new(Kept::default());
    let mut options = Options::new("http://127.0.0.1:9", None);
    options.agent_telemetry = Some(kept.clone());
    (World::with(&options).await, kept)
}

fn report(world: &World, path: &str, token: &str) -> reqwest::RequestBuilder {
    let request = world.client.post(format!("{}{path}", world.agent.base_url));
    request.header("x-api-key", token).header("content-type", PROTOBUF)
}

#[tokio::test]
async fn a_report_is_taken_for_whom_its_token_was_made() {
    let (world, kept) = world().await;
    for signal in ["traces", "metrics", "logs"] {
        let request = report(&world, &format!("/otel/v1/{signal}"), &world.agent.token);
        let answer = request.body(signal).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], PROTOBUF);
        assert!(answer.bytes().await.unwrap().is_empty());
    }
    let kept = kept.0.lock().unwrap();
    assert!(
        kept.iter().all(|(from, signal, body)| *from == world.scope && body == signal.as_str().as_bytes())
    );
    assert_eq!(kept.len(), 3);
}

#[tokio::test]
async fn strangers_and_what_is_no_report_are_refused() {
    let (world, kept) = world().await;
    let own = world.agent.token.clone();
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(status(report(&world, "/otel/v1/logs", "guess").body("x")).await, 401);
    assert_eq!(status(report(&world, "/otel/v1/profiles", &own).body("x")).await, 404);
    assert_eq!(status(report(&world, "/otel/v1/logs", &own).body("?")).await, 400);
    let compressed = report(&world, "/otel/v1/logs", &own).header("content-encoding", "gzip");
    assert_eq!(status(compressed.body("x")).await, 400);
    let json = world.client.post(format!("{}/otel/v1/logs", world.agent.base_url)).header("x-api-key", &own);
    assert_eq!(status(json.header("content-type", "application/json").body("{}")).await, 400);
    let large = report(&world, "/otel/v1/logs", &own).body(vec![b'x'; REPORT_BYTES_MAX + 1]);
    assert_eq!(status(large).await, 413);
    world.gateway.revoke(&own).await;
    assert_eq!(status(report(&world, "/otel/v1/logs", &own).body("x")).await, 401, "it ends with the agent");
    assert!(kept.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn nobody_takes_reports_that_nobody_wants() {
    let world = World::with(&Options::new("http://127.0.0.1:9", None)).await;
    let answer = report(&world, "/otel/v1/logs", &world.agent.token).body("x").send().await.unwrap();
    assert_eq!(answer.status(), 404);
}

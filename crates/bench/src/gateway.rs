//! What the gateway costs: requests and streams through the server's own, beside the same ones straight to the model.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    connection::Connection,
    figures::Sample,
    plain_relay,
    report::Row,
    scale::Scale,
    steward::{Model, Steward, create_session, query},
    tools::Tools,
    turns::{self, balanced_order},
};

const PATH: &str = "/v1/messages";
const MODEL: &str = "claude-sonnet-4-5";
const ADDED_TARGET_MS: f64 = 1.0;
const RATIO_TARGET: f64 = 0.95;
/// In every delta the model sends, and nowhere else.
const DELTA_MARK: &[u8] = b"event: content_block_delta";
const STREAM_TIMEOUT: Duration = Duration::from_secs(60);
/// Not measured: connections are opened and memory is taken.
const FIRST_REQUESTS: usize = 50;
/// The same for streams.
const FIRST_STREAMS: usize = 1;
/// Deltas that leave the model at once in the middle stream; a wait of 1 ms takes about 2.
const BURST: usize = 30;
/// A conversation of about 150,000 tokens.
const LARGE_REQUEST_BYTES: usize = 600_000;
const STRAIGHT: &str = "straight to the model";
const PLAIN: &str = "through a plain relay";

/// In the order of [`Ways`].
const NAMES: [&str; 3] = ["through the gateway", "through a relay", "straight"];

/// The same connection three times: through the gateway, through a relay that only passes bytes on, and straight to the
/// model.
struct Ways([Connection; 3]);

/// The figures of all ways.
struct Figures {
    gateway: Sample,
    plain: Sample,
    straight: Sample,
}

pub(crate) async fn measure(tools: &Tools, scale: &Scale) -> Result<Vec<Row>> {
    let mut model = Model::start(tools)?;
    let server = Steward::start(tools, &tools.new_folder("gateway")?, &model.url())?;
    let mut api = server.connect(&server.log_in().await?).await?;
    // A real agent's access, so that the way is the one its requests go: token, metering, price, ledger.
    let session = create_session(&mut api, &turns::session_wanted()).await?;
    query(&mut api, &session, turns::PROMPT).await?;
    let agent = server.agent_endpoint(&session)?;
    let address: SocketAddr =
        agent.base_url.trim_start_matches("http://").parse().context("the gateway has an address")?;
    let any_key = || Some(("x-api-key", "offline".to_owned()));
    let mut ways = Ways([
        Connection::open(address, Some(("x-api-key", agent.token))).await?,
        Connection::open(plain_relay::start(model.address)?, any_key()).await?,
        Connection::open(model.address, any_key()).await?,
    ]);
    let mut rows = ways.small_requests(scale).await?;
    rows.extend(ways.large_requests(scale).await?);
    rows.extend(ways.streams(scale).await?);
    rows.extend(ways.streams_as_fast_as_read(scale).await?);
    rows.extend(ways.paced_streams(scale).await?);
    model.check_running()?;
    drop(ways);
    server.stop()?;
    Ok(rows)
}

impl Ways {
    async fn small_requests(&mut self, scale: &Scale) -> Result<Vec<Row>> {
        let figures = self.requests("hello [[text:hello to you]]", scale.requests).await?;
        let how =
            format!("{} small requests each way, by turns, keep-alive; each one booked", scale.requests);
        let mut rows = figures.requests("model request", &how);
        let (ours, theirs) = (figures.gateway.percentile(99.0), figures.straight.percentile(99.0));
        rows.push(
            Row::new("model request through the gateway, p99", "ms", ours, how).beside(STRAIGHT, theirs),
        );
        Ok(rows)
    }

    /// The gateway has to have read a request before it passes it on: what it can cost is held first.
    async fn large_requests(&mut self, scale: &Scale) -> Result<Vec<Row>> {
        let words = "The quick brown fox jumps over the lazy dog.\n";
        let prompt = words.repeat(LARGE_REQUEST_BYTES / words.len()) + "[[text:hello to you]]";
        let count = scale.requests / 10;
        let figures = self.requests(&prompt, count).await?;
        let kilobytes = LARGE_REQUEST_BYTES / 1000;
        let how =
            format!("{count} requests of {kilobytes} KB each way, by turns, keep-alive; each one booked");
        Ok(figures.requests(&format!("model request of {kilobytes} KB"), &how))
    }

    async fn requests(&mut self, prompt: &str, count: usize) -> Result<Figures> {
        let body = request(prompt, false);
        let mut samples = <[Sample; 3]>::default();
        for round in 0..FIRST_REQUESTS + count {
            for way in balanced_order(round, NAMES.len()) {
                let took = ask(&mut self.0[way], &body).await.context(NAMES[way])?;
                if round >= FIRST_REQUESTS {
                    samples[way].push_time(took);
                }
            }
        }
        Ok(samples.into())
    }

    async fn streams(&mut self, scale: &Scale) -> Result<Vec<Row>> {
        let prompt = format!("go [[deltas:{}]]", scale.deltas);
        let figures = self.stream_by_turns(&prompt, scale.deltas, scale.streams).await?;
        let how = format!(
            "{} streams of {} deltas each way, by turns, as fast as they come; every delta counted. Through the gateway \
             three busy processes share the cores that two have otherwise",
            scale.streams, scale.deltas
        );
        Ok(figures.streams("stream at full speed, deltas", &how))
    }

    /// No agent takes more than about 12,000 deltas a second off its connection; this is somewhat more.
    async fn streams_as_fast_as_read(&mut self, scale: &Scale) -> Result<Vec<Row>> {
        let deltas = scale.deltas / 10;
        let prompt = format!("go [[chunk_delay:1]][[burst:{BURST}]][[deltas:{deltas}]]");
        let figures = self.stream_by_turns(&prompt, deltas, scale.streams).await?;
        let how = format!(
            "{} streams of {deltas} deltas each way, by turns, {BURST} at a time with 1 ms between: above what the CLI can take in",
            scale.streams
        );
        Ok(figures.streams("stream at the pace of the fastest agent, deltas", &how))
    }

    async fn paced_streams(&mut self, scale: &Scale) -> Result<Vec<Row>> {
        let prompt = format!("go [[chunk_delay:1]][[deltas:{}]]", scale.paced_deltas);
        let streams = scale.streams.div_ceil(3);
        let figures = self.stream_by_turns(&prompt, scale.paced_deltas, streams).await?;
        let how = format!("{streams} streams of {} deltas each way, 1 ms between deltas", scale.paced_deltas);
        Ok(figures.streams("stream at the pace of a model, deltas", &how))
    }

    async fn stream_by_turns(&mut self, prompt: &str, deltas: usize, streams: usize) -> Result<Figures> {
        let body = request(prompt, true);
        let mut samples = <[Sample; 3]>::default();
        for round in 0..FIRST_STREAMS + streams {
            for way in balanced_order(round, NAMES.len()) {
                let pace = stream(&mut self.0[way], &body, deltas).await.context(NAMES[way])?;
                if round >= FIRST_STREAMS {
                    samples[way].push(pace);
                }
            }
        }
        Ok(samples.into())
    }
}

impl From<[Sample; 3]> for Figures {
    fn from([gateway, plain, straight]: [Sample; 3]) -> Self {
        Self { gateway, plain, straight }
    }
}

impl Figures {
    /// What the gateway adds, for which there is a target, and what a relay adds.
    fn requests(&self, what: &str, how: &str) -> Vec<Row> {
        let row = |way: &str, ours: &Sample| {
            Row::new(format!("{what} {way}, p50"), "ms", ours.median(), how)
                .beside(STRAIGHT, self.straight.median())
                .adding(&ours.minus(&self.straight))
        };
        vec![row("through the gateway", &self.gateway).adds_at_most(ADDED_TARGET_MS), row(PLAIN, &self.plain)]
    }

    fn streams(&self, what: &str, how: &str) -> Vec<Row> {
        let beside = |name: &str, theirs: &Sample| {
            Row::new(what, "/s", self.gateway.median(), how)
                .beside(name, theirs.median())
                .at_ratio(self.gateway.over(theirs).median())
        };
        vec![beside(STRAIGHT, &self.straight).ratio_at_least(RATIO_TARGET), beside(PLAIN, &self.plain)]
    }
}

fn request(prompt: &str, is_stream: bool) -> Bytes {
    let body = json!({
        "model": MODEL, "max_tokens": 1024, "stream": is_stream,
        "messages": [{"role": "user", "content": prompt}],
    });
    body.to_string().into()
}

async fn ask(connection: &mut Connection, body: &Bytes) -> Result<Duration> {
    let asked = Instant::now();
    let (status, answer) = connection.send(Method::POST, PATH, body.clone()).await?;
    let took = asked.elapsed();
    ensure!(status == StatusCode::OK, "a request failed, {status}: {}", String::from_utf8_lossy(&answer));
    Ok(took)
}

/// Reads one stream to its end and gives its deltas per second; fails when one is missing.
async fn stream(connection: &mut Connection, body: &Bytes, deltas: usize) -> Result<f64> {
    let asked = Instant::now();
    let whole = async {
        let answer = connection.begin(Method::POST, PATH, body.clone()).await?;
        ensure!(answer.status() == StatusCode::OK, "a stream failed: {}", answer.status());
        Ok(answer.into_body().collect().await?.to_bytes())
    };
    let text = timeout(STREAM_TIMEOUT, whole).await.context("a stream did not end in time")??;
    let took = asked.elapsed();
    let found = memchr::memmem::find_iter(&text, DELTA_MARK).count();
    ensure!(found == deltas, "{found} of {deltas} deltas arrived");
    Ok(deltas as f64 / took.as_secs_f64())
}

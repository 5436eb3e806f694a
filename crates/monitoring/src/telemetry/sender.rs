//! The way out: a thread of its own that sends what it is given to a collector, one queue for each signal.
//!
//! The server's own telemetry and what agents report take the same way. Nothing here is waited for by anything but the
//! exporters' own threads, so a collector that is slow, down or refusing costs telemetry and nothing else.

mod grpc;
mod http;
mod tls;

use self::tls::Tls;
use super::{
    drops::Drops,
    settings::{ExportSettings, Protocol},
};
use domain::ports::TelemetrySignal;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Requests of one signal that wait to be sent.
const QUEUE_MAX: usize = 256;
/// Bytes of agents' reports that wait to be sent, over all signals.
const WAITING_BYTES_MAX: usize = 32 << 20;
/// How often one request is tried.
const ATTEMPTS_MAX: u32 = 3;
/// Wait before the second attempt; it doubles.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// One request to a collector.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    Traces(ExportTraceServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Logs(ExportLogsServiceRequest),
}

impl Payload {
    pub(crate) fn signal(&self) -> TelemetrySignal {
        match self {
            Self::Traces(_) => TelemetrySignal::Traces,
            Self::Metrics(_) => TelemetrySignal::Metrics,
            Self::Logs(_) => TelemetrySignal::Logs,
        }
    }

    /// Spans, records or metrics in it.
    pub(crate) fn items(&self) -> u64 {
        let count = match self {
            Self::Traces(request) => {
                let scopes = request.resource_spans.iter().flat_map(|one| &one.scope_spans);
                scopes.map(|scope| scope.spans.len()).sum::<usize>()
            }
            Self::Metrics(request) => {
                let scopes = request.resource_metrics.iter().flat_map(|one| &one.scope_metrics);
                scopes.map(|scope| scope.metrics.len()).sum()
            }
            Self::Logs(request) => {
                let scopes = request.resource_logs.iter().flat_map(|one| &one.scope_logs);
                scopes.map(|scope| scope.log_records.len()).sum()
            }
        };
        count as u64
    }
}

/// Why a collector did not take a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// Another attempt may do.
    ForNow,
    Refused,
    Ended,
}

/// What a collector did with a request it took.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    /// Items it did not want after all.
    rejected: u64,
}

struct Parcel {
    payload: Payload,
    /// Told what came of it, if anybody waits for that.
    done: Option<oneshot::Sender<Result<(), NotSent>>>,
    /// What it takes of the room for reports.
    _room: Option<Room>,
}

/// Bytes that wait to be sent, given back when dropped.
struct Room {
    waiting_bytes: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.waiting_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Sends requests. Clones share the queues; the thread ends when the last one is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    queues: [Option<mpsc::Sender<Parcel>>; 3],
    waiting_bytes: Arc<AtomicUsize>,
    drops: Drops,
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// The thread or its reactor could not be made.
    #[error("start the thread that exports telemetry")]
    Thread(#[source] io::Error),
    /// A certificate or a key.
    #[error("read {path}, which has to do with TLS to the collector")]
    Certificate { path: String, source: io::Error },
    /// What should have certificates that are to be trusted.
    #[error("find a certificate in PEM in {path}")]
    NoCertificate { path: String },
    /// What the transport says of address, headers or certificates; it names no values.
    #[error("set up the exporter of {signal}: {why}")]
    Transport { signal: &'static str, why: String },
}

impl Sender {
    /// Starts the thread, if any signal goes anywhere.
    pub(crate) fn start(
        traces: Option<&ExportSettings>,
        metrics: Option<&ExportSettings>,
        logs: Option<&ExportSettings>,
        drops: Drops,
    ) -> Result<Self, SenderError> {
        let mut sender = Self { queues: [None, None, None], waiting_bytes: Arc::default(), drops };
        let settings = [traces, metrics, logs];
        if settings.iter().all(Option::is_none) {
            return Ok(sender);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(SenderError::Thread)?;
        let mut lines = Vec::new();
        for ((signal, settings), queue) in
            TelemetrySignal::ALL.into_iter().zip(settings).zip(&mut sender.queues)
        {
            let Some(settings) = settings else { continue };
            let (give, take) = mpsc::channel(QUEUE_MAX);
            // A channel of gRPC belongs to the reactor it is made on.
            let _entered = runtime.enter();
            lines.push(Line { transport: Transport::new(signal, settings)?, parcels: take });
            *queue = Some(give);
        }
        let drops = sender.drops.clone();
        let run = move || {
            runtime.block_on(futures::future::join_all(lines.into_iter().map(|line| line.run(&drops))))
        };
        thread::Builder::new()
            .name("telemetry".to_owned())
            .spawn(move || drop(run()))
            .map_err(SenderError::Thread)?;
        Ok(sender)
    }

    /// Whether this signal goes anywhere.
    pub(crate) fn sends(&self, signal: TelemetrySignal) -> bool {
        self.queue(signal).is_some()
    }

    /// Sends and waits for what came of it. What is lost is counted.
    pub(crate) async fn send(&self, payload: Payload) -> Result<(), NotSent> {
        let (signal, items) = (payload.signal(), payload.items());
        let (done, outcome) = oneshot::channel();
        let parcel = Parcel { payload, done: Some(done), _room: None };
        let ended = |_| {
            self.drops.add(signal, items, NotSent::Ended.reason());
            NotSent::Ended
        };
        match self.queue(signal) {
            Some(queue) => queue.send(parcel).await.map_err(|_| ()).map_err(ended)?,
            None => return Err(NotSent::Ended),
        }
        outcome.await.map_err(|_| ()).map_err(ended)?
    }

    /// Sends what an agent reported when there is room for it, without waiting.
    pub(crate) fn forward(&self, payload: Payload, bytes: usize) {
        let (signal, items) = (payload.signal(), payload.items());
        let Some(queue) = self.queue(signal) else { return };
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::AcqRel) + bytes;
        let room = Room { waiting_bytes: self.waiting_bytes.clone(), bytes };
        let parcel = Parcel { payload, done: None, _room: Some(room) };
        if waiting > WAITING_BYTES_MAX || queue.try_send(parcel).is_err() {
            self.drops.add(signal, items, "too much was waiting to be sent");
        }
    }

    fn queue(&self, signal: TelemetrySignal) -> Option<&mpsc::Sender<Parcel>> {
        self.queues[match signal {
            TelemetrySignal::Traces => 0,
            TelemetrySignal::Metrics => 1,
            TelemetrySignal::Logs => 2,
        }]
        .as_ref()
    }
}

impl NotSent {
    fn reason(self) -> &'static str {
        match self {
            Self::ForNow => "the collector could not be reached or was busy",
            Self::Refused => "the collector refused it",
            Self::Ended => "the exporter has ended",
        }
    }
}

/// Says why a collector was not reached, to who looks closely; the count of what was lost is said anyway.
fn unreachable(error: &dyn std::error::Error) -> NotSent {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let why = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    tracing::debug!(target: super::OWN_TARGET, why, "a collector was not reached");
    NotSent::ForNow
}

/// One signal's way to its collector.
struct Line {
    transport: Transport,
    parcels: mpsc::Receiver<Parcel>,
}

impl Line {
    /// Sends one request after the other until nobody gives any more.
    async fn run(mut self, drops: &Drops) {
        while let Some(Parcel { payload, done, _room }) = self.parcels.recv().await {
            let (signal, items) = (payload.signal(), payload.items());
            let sent = self.try_often(payload).await;
            match &sent {
                Ok(Taken { rejected }) => drops.add(signal, *rejected, "the collector took only a part"),
                Err(error) => drops.add(signal, items, error.reason()),
            }
            if let Some(done) = done {
                // Whoever waited may have given up.
                let _told = done.send(sent.map(drop));
            }
        }
    }

    async fn try_often(&mut self, payload: Payload) -> Result<Taken, NotSent> {
        let mut delay = RETRY_DELAY;
        for attempt in 1.. {
            match self.transport.send(&payload).await {
                Err(NotSent::ForNow) if attempt < ATTEMPTS_MAX => {
                    tokio::time::sleep(delay).await;
                    delay *= 2;
                }
                sent => return sent,
            }
        }
        Err(NotSent::ForNow)
    }
}

enum Transport {
    Grpc(Box<grpc::Client>),
    Http(http::Client),
}

impl Transport {
    fn new(signal: TelemetrySignal, settings: &ExportSettings) -> Result<Self, SenderError> {
        let tls = Tls::read(&settings.tls)?;
        let wrong = |why: String| SenderError::Transport { signal: signal.as_str(), why };
        Ok(match settings.protocol {
            Protocol::Grpc => Self::Grpc(Box::new(grpc::Client::new(settings, &tls).map_err(wrong)?)),
            Protocol::HttpProtobuf => Self::Http(http::Client::new(settings, &tls).map_err(wrong)?),
        })
    }

    async fn send(&mut self, payload: &Payload) -> Result<Taken, NotSent> {
        match self {
            Self::Grpc(client) => client.send(payload).await,
            Self::Http(client) => client.send(payload).await,
        }
    }
}

//! What the operator decided about logs and about what is exported; already checked.

use super::logs::{LogFilter, LogFormat};
use secrecy::SecretString;
use std::{path::PathBuf, time::Duration};

/// Everything that [`super::init`] needs to know.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// Which lines are written to stderr, and which are exported.
    pub filter: LogFilter,
    /// `None`: text on a terminal, JSON elsewhere.
    pub format: Option<LogFormat>,
    pub service: ServiceSettings,
    /// Where spans go; `None`: nowhere, and none are made.
    pub traces: Option<ExportSettings>,
    pub metrics: Option<ExportSettings>,
    /// Where log records go beside stderr.
    pub logs: Option<ExportSettings>,
    pub sampler: Sampler,
    pub span_batches: BatchSettings,
    pub log_batches: BatchSettings,
    /// Between two exports of metrics.
    pub metric_interval: Duration,
    /// Whether the trace of a caller is continued.
    pub propagation: Propagation,
    pub content: Content,
    pub agents: AgentReports,
}

/// How the server calls itself in everything it exports.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    pub name: String,
    pub version: String,
    /// Further attributes of the resource.
    pub attributes: Vec<(String, String)>,
}

/// How one signal reaches a collector.
#[derive(Debug, Clone)]
pub struct ExportSettings {
    /// With HTTP the whole URL of the signal, with gRPC scheme, host and port.
    pub endpoint: String,
    pub protocol: Protocol,
    /// May hold credentials.
    pub headers: Vec<(String, SecretString)>,
    /// Of one attempt.
    pub timeout: Duration,
    pub compression: Compression,
    /// Of an `https` endpoint.
    pub tls: TlsSettings,
}

/// Files in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificates that are trusted in place of the system's.
    pub certificate: Option<PathBuf>,
    /// How the server shows who it is, to a collector that asks.
    pub client: Option<ClientCertificate>,
}

/// A certificate of the server's own and its key, in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    HttpProtobuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
}

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampler {
    /// Of traces that begin here.
    Fixed(Share),
    /// As the caller's trace is, and of traces that begin here this share.
    ParentBased(Share),
}

/// How many of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    All,
    None,
    /// From 0 to 1.
    Ratio(f64),
}

/// How what is exported is gathered into batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSettings {
    /// The longest time a batch waits.
    pub delay: Duration,
    /// What waits beyond this many is dropped.
    pub queue_max: usize,
    pub batch_max: usize,
}

/// Whether `traceparent` and `tracestate` are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    TraceContext,
    Off,
}

/// Whether prompts, answers, and inputs and outputs of tools go into spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Hidden,
    Captured,
}

/// Whether agents report to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentReports {
    On,
    Off,
}

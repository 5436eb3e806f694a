//! A collector as others run it: takes OTLP over HTTP or gRPC, and keeps what it was sent, decoded and as it came.

#![expect(dead_code, reason = "each test crate that includes this uses a part of it")]
#![expect(clippy::disallowed_methods, reason = "a test aborts the tasks it starts")]

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{
            ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    metrics::v1::Metric,
};
use prost::Message;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::Read,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;

/// Generous: machines are busy while tests run.
const PATIENCE: Duration = Duration::from_secs(60);

pub type Attributes = BTreeMap<String, String>;

/// A span as it was sent.
#[derive(Debug, Clone)]
pub struct SeenSpan {
    pub resource: Attributes,
    pub name: String,
    pub trace_id: String,
    pub span_id: String,
    /// Empty for the first of a trace.
    pub parent: String,
    pub kind: i32,
    pub attributes: Attributes,
    /// Trace and span of each.
    pub links: Vec<(String, String)>,
    /// 2 is an error.
    pub status: i32,
}

#[derive(Debug, Clone)]
pub struct SeenRecord {
    pub resource: Attributes,
    pub body: String,
    pub trace_id: String,
    pub span_id: String,
    pub attributes: Attributes,
}

#[derive(Debug, Clone)]
pub struct SeenMetric {
    pub resource: Attributes,
    pub metric: Metric,
}

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Takes,
    /// Never answers.
    Hangs,
    /// Says that nobody may come again with this.
    Refuses,
}

#[derive(Debug, Default)]
struct Seen {
    spans: Vec<SeenSpan>,
    records: Vec<SeenRecord>,
    metrics: Vec<SeenMetric>,
    /// Everything that came, decompressed, headers included.
    raw: Vec<u8>,
    requests: usize,
}

#[derive(Clone)]
struct Shared {
    seen: Arc<Mutex<Seen>>,
    manner: Manner,
}

pub struct Collector {
    pub url: String,
    shared: Shared,
    serving: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Collector {
    pub async fn http() -> Self {
        Self::http_that(Manner::Takes).await
    }

    pub async fn http_that(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Shared { seen: Arc::default(), manner };
        let serving = tokio::spawn(serve_http(listener, shared.clone()));
        Self { url, shared, serving }
    }

    pub async fn grpc() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Shared { seen: Arc::default(), manner: Manner::Takes };
        let gzip = CompressionEncoding::Gzip;
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(shared.clone()).accept_compressed(gzip))
            .add_service(MetricsServiceServer::new(shared.clone()).accept_compressed(gzip))
            .add_service(LogsServiceServer::new(shared.clone()).accept_compressed(gzip))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let serving = tokio::spawn(async move { server.await.unwrap() });
        Self { url, shared, serving }
    }

    pub fn spans(&self) -> Vec<SeenSpan> {
        self.seen().spans.clone()
    }

    pub fn records(&self) -> Vec<SeenRecord> {
        self.seen().records.clone()
    }

    pub fn metrics(&self) -> Vec<SeenMetric> {
        self.seen().metrics.clone()
    }

    pub fn requests(&self) -> usize {
        self.seen().requests
    }

    /// Whether these bytes were anywhere in what came.
    pub fn has_seen(&self, text: &str) -> bool {
        self.seen().raw.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// The first span for which `is` holds, once it is there.
    pub async fn span(&self, what: &str, is: impl Fn(&SeenSpan) -> bool) -> SeenSpan {
        self.eventually(what, || self.spans().into_iter().find(&is)).await
    }

    /// Waits until `look` finds something.
    pub async fn eventually<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            let names: Vec<String> = self.spans().into_iter().map(|span| span.name).collect();
            assert!(Instant::now() < deadline, "never came: {what}; spans there are {names:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap()
    }
}

impl Shared {
    fn take(&self, raw: &[u8]) -> MutexGuard<'_, Seen> {
        let mut seen = self.seen.lock().unwrap();
        seen.raw.extend_from_slice(raw);
        seen
    }

    fn traces(&self, request: ExportTraceServiceRequest) {
        let mut seen = self.take(&request.encode_to_vec());
        for one in request.resource_spans {
            let resource = attributes(&one.resource.unwrap_or_default().attributes);
            for span in one.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                seen.spans.push(SeenSpan {
                    resource: resource.clone(),
                    name: span.name,
                    trace_id: hex(&span.trace_id),
                    span_id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    kind: span.kind,
                    attributes: attributes(&span.attributes),
                    links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
                    status: span.status.unwrap_or_default().code,
                });
            }
        }
    }

    fn metrics(&self, request: ExportMetricsServiceRequest) {
        let mut seen = self.take(&request.encode_to_vec());
        for one in request.resource_metrics {
            let resource = attributes(&one.resource.unwrap_or_default().attributes);
            for metric in one.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                seen.metrics.push(SeenMetric { resource: resource.clone(), metric });
            }
        }
    }

    fn logs(&self, request: ExportLogsServiceRequest) {
        let mut seen = self.take(&request.encode_to_vec());
        for one in request.resource_logs {
            let resource = attributes(&one.resource.unwrap_or_default().attributes);
            for record in one.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
                seen.records.push(SeenRecord {
                    resource: resource.clone(),
                    body: record.body.as_ref().map(text).unwrap_or_default(),
                    trace_id: hex(&record.trace_id),
                    span_id: hex(&record.span_id),
                    attributes: attributes(&record.attributes),
                });
            }
        }
    }
}

async fn serve_http(listener: TcpListener, shared: Shared) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { return };
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(shared.clone(), request));
            let _broke_off = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn answer(shared: Shared, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let headers = format!("{:?}", head.headers);
    {
        let mut seen = shared.take(headers.as_bytes());
        seen.requests += 1;
    }
    match shared.manner {
        Manner::Takes => {}
        Manner::Hangs => std::future::pending().await,
        Manner::Refuses => {
            let mut refusal = Response::new(Full::default());
            *refusal.status_mut() = StatusCode::BAD_REQUEST;
            return Ok(refusal);
        }
    }
    let mut plain = Vec::new();
    let body = match head.headers.get("content-encoding") {
        Some(_) => {
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
            &plain[..]
        }
        None => &body[..],
    };
    match head.uri.path() {
        "/v1/traces" => shared.traces(ExportTraceServiceRequest::decode(body).unwrap()),
        "/v1/metrics" => shared.metrics(ExportMetricsServiceRequest::decode(body).unwrap()),
        "/v1/logs" => shared.logs(ExportLogsServiceRequest::decode(body).unwrap()),
        other => panic!("nothing is taken at {other}"),
    }
    Ok(Response::new(Full::default()))
}

macro_rules! service {
    ($service:ident, $request:ident, $response:ident, $take:ident) => {
        #[tonic::async_trait]
        impl $service for Shared {
            async fn export(
                &self,
                request: tonic::Request<$request>,
            ) -> Result<tonic::Response<$response>, tonic::Status> {
                let headers = format!("{:?}", request.metadata());
                self.take(headers.as_bytes()).requests += 1;
                self.$take(request.into_inner());
                Ok(tonic::Response::new($response::default()))
            }
        }
    };
}

service!(TraceService, ExportTraceServiceRequest, ExportTraceServiceResponse, traces);
service!(MetricsService, ExportMetricsServiceRequest, ExportMetricsServiceResponse, metrics);
service!(LogsService, ExportLogsServiceRequest, ExportLogsServiceResponse, logs);

pub fn attributes(all: &[KeyValue]) -> Attributes {
    all.iter().map(|one| (one.key.clone(), one.value.as_ref().map(text).unwrap_or_default())).collect()
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::ArrayValue(list)) => list.values.iter().map(text).collect::<Vec<_>>().join(","),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

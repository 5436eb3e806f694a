//! Takes in what agents report about themselves, over OTLP in protobuf, on the listener they have already.

use std::sync::Arc;

use bytes::Bytes;
use domain::ports::{AgentTelemetry, TelemetrySignal};
use http::{
    HeaderMap, HeaderValue, Method, Response,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    agents::Agent,
    limits::{REPORT_BYTES_MAX, REPORT_TIMEOUT, REPORTS_MAX},
    refusal::{Refusal, Reply, whole},
};

/// What the paths of reports begin with; the agent puts `/v1/` and the signal behind it.
pub const REPORTS_PATH: &str = "/otel";
const PROTOBUF: &str = "application/x-protobuf";

/// The door for reports; shut when nobody wants them.
#[derive(Debug)]
pub(crate) struct Reports {
    receiver: Option<Arc<dyn AgentTelemetry>>,
    places: Semaphore,
}

impl Reports {
    pub(crate) fn new(receiver: Option<Arc<dyn AgentTelemetry>>) -> Self {
        Self { receiver, places: Semaphore::new(REPORTS_MAX) }
    }

    /// Which signal this is a report of, if it is one.
    pub(crate) fn signal(method: &Method, path: &str) -> Option<TelemetrySignal> {
        let word = path.strip_prefix(REPORTS_PATH)?.strip_prefix("/v1/")?;
        let signal = TelemetrySignal::ALL.into_iter().find(|signal| signal.as_str() == word)?;
        (method == Method::POST).then_some(signal)
    }

    /// Takes a report of this agent.
    pub(crate) async fn take(
        &self,
        agent: &Agent,
        signal: TelemetrySignal,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Result<Reply, Refusal> {
        let receiver = self.receiver.as_ref().ok_or(Refusal::NoSuchEndpoint)?;
        let is_protobuf =
            headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == PROTOBUF.as_bytes());
        if !is_protobuf || headers.contains_key(CONTENT_ENCODING) {
            return Err(Refusal::ReportUnreadable);
        }
        let _own_place = agent.reports.try_acquire().map_err(|_| Refusal::TooManyRequests)?;
        let _place = self.places.try_acquire().map_err(|_| Refusal::TooManyRequests)?;
        let collected = Limited::new(body, REPORT_BYTES_MAX).collect();
        let body = timeout(REPORT_TIMEOUT, collected).await.map_err(|_| Refusal::BodyTooSlow)?;
        let body = body.map_err(|_| Refusal::BodyTooLarge)?.to_bytes();
        receiver.take(agent.scope, signal, &body).map_err(|_| Refusal::ReportUnreadable)?;
        // An answer without fields has no bytes.
        let mut reply = Response::new(whole(Bytes::new()));
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        Ok(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_posts_to_the_three_signals_are_reports() {
        let signal = |method: Method, path: &str| Reports::signal(&method, path);
        assert_eq!(signal(Method::POST, "/otel/v1/traces"), Some(TelemetrySignal::Traces));
        assert_eq!(signal(Method::POST, "/otel/v1/metrics"), Some(TelemetrySignal::Metrics));
        assert_eq!(signal(Method::POST, "/otel/v1/logs"), Some(TelemetrySignal::Logs));
        for path in ["/otel/v1/profiles", "/otel/v1/logs/", "/otel", "/v1/logs", "/v1/messages"] {
            assert_eq!(signal(Method::POST, path), None, "{path}");
        }
        assert_eq!(signal(Method::GET, "/otel/v1/logs"), None);
    }
}

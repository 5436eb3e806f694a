//! What agents report about themselves: read, stamped with whose it is, shown here and passed on.
//!
//! An agent is not trusted: it runs what its model says, and it holds the token that this is sent with. So what it reports
//! is bounded, is told apart from what the server says of itself, and is never what money or permissions are decided by.

mod cumulative;
mod series;
mod stamp;

pub use self::series::AgentSeries;

use self::{cumulative::Streams, stamp::Stamp};
use crate::telemetry::{Content, Drops, Payload, Sender, ServiceSettings};
use domain::{
    AgentScope,
    ports::{AgentTelemetry, TelemetrySignal, UnreadableReport},
};
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use prost::Message;
use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Takes in the reports of all agents of this server.
pub struct AgentReceiver {
    sender: Sender,
    drops: Drops,
    service: String,
    content: Content,
    streams: Mutex<Streams>,
    series: AgentSeries,
}

impl AgentReceiver {
    pub(crate) fn new(sender: Sender, drops: Drops, service: &ServiceSettings, content: Content) -> Self {
        let (streams, series) = (Mutex::default(), AgentSeries::default());
        Self { sender, drops, service: service.name.clone(), content, streams, series }
    }

    /// The metrics of all agents together, without ids, for Prometheus.
    #[must_use]
    pub fn series(&self) -> AgentSeries {
        self.series.clone()
    }

    fn traces(&self, stamp: &Stamp<'_>, body: &[u8]) -> Result<(), prost::DecodeError> {
        let mut request = ExportTraceServiceRequest::decode(body)?;
        if self.sender.sends(TelemetrySignal::Traces) {
            stamp.spans(&mut request.resource_spans);
            self.forward(Payload::Traces(request), body.len());
        }
        Ok(())
    }

    fn logs(&self, stamp: &Stamp<'_>, body: &[u8]) -> Result<(), prost::DecodeError> {
        let mut request = ExportLogsServiceRequest::decode(body)?;
        if self.sender.sends(TelemetrySignal::Logs) {
            stamp.records(&mut request.resource_logs);
            self.forward(Payload::Logs(request), body.len());
        }
        Ok(())
    }

    fn metrics(&self, stamp: &Stamp<'_>, body: &[u8]) -> Result<(), prost::DecodeError> {
        let mut request = ExportMetricsServiceRequest::decode(body)?;
        let lost = {
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams.take(stamp.scope.session_id, &mut request.resource_metrics, &self.series, Instant::now())
        };
        self.drops.add(TelemetrySignal::Metrics, lost, "an agent reported what does not add up");
        if self.sender.sends(TelemetrySignal::Metrics) {
            stamp.metrics(&mut request.resource_metrics);
            self.forward(Payload::Metrics(request), body.len());
        }
        Ok(())
    }

    fn forward(&self, payload: Payload, bytes: usize) {
        if payload.items() > 0 {
            self.sender.forward(payload, bytes);
        }
    }
}

impl AgentTelemetry for AgentReceiver {
    fn take(&self, from: AgentScope, signal: TelemetrySignal, body: &[u8]) -> Result<(), UnreadableReport> {
        let stamp = Stamp { scope: from, service: &self.service, content: self.content };
        let taken = match signal {
            TelemetrySignal::Traces => self.traces(&stamp, body),
            TelemetrySignal::Metrics => self.metrics(&stamp, body),
            TelemetrySignal::Logs => self.logs(&stamp, body),
        };
        self.series.reported(signal, taken.is_ok());
        taken.map_err(|_| UnreadableReport(signal))
    }
}

impl fmt::Debug for AgentReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentReceiver").field("content", &self.content).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

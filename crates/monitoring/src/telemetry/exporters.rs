//! The server's own spans, metrics and log records as requests to a collector.

use super::sender::{NotSent, Payload, Sender};
use opentelemetry_proto::{
    tonic::collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    transform::{
        common::tonic::ResourceAttributesWithSchema, logs::tonic::group_logs_by_resource_and_scope,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    logs::{LogBatch, LogExporter},
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{SpanData, SpanExporter},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How many of what was handed to a processor wait in its queue; the processor's door counts up, the exporter down.
pub(super) type Waiting = Arc<AtomicUsize>;

/// Spans.
#[derive(Debug)]
pub(super) struct Spans {
    sender: Sender,
    waiting: Waiting,
    resource: ResourceAttributesWithSchema,
}

impl Spans {
    pub(super) fn new(sender: Sender, waiting: Waiting) -> Self {
        Self { sender, waiting, resource: ResourceAttributesWithSchema::default() }
    }
}

impl SpanExporter for Spans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.waiting.fetch_sub(batch.len(), Ordering::AcqRel);
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        outcome(self.sender.send(Payload::Traces(ExportTraceServiceRequest { resource_spans })).await)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

/// Log records.
#[derive(Debug)]
pub(super) struct Records {
    sender: Sender,
    waiting: Waiting,
    resource: ResourceAttributesWithSchema,
}

impl Records {
    pub(super) fn new(sender: Sender, waiting: Waiting) -> Self {
        Self { sender, waiting, resource: ResourceAttributesWithSchema::default() }
    }
}

impl LogExporter for Records {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.waiting.fetch_sub(batch.iter().count(), Ordering::AcqRel);
        let resource_logs = group_logs_by_resource_and_scope(&batch, &self.resource);
        outcome(self.sender.send(Payload::Logs(ExportLogsServiceRequest { resource_logs })).await)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

/// Metrics; they are cumulative, so a lost export is made up for by the next.
#[derive(Debug)]
pub(super) struct Metrics {
    sender: Sender,
}

impl Metrics {
    pub(super) fn new(sender: Sender) -> Self {
        Self { sender }
    }
}

impl PushMetricExporter for Metrics {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        outcome(self.sender.send(Payload::Metrics(metrics.into())).await)
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

/// What was not sent is counted and said already.
fn outcome(sent: Result<(), NotSent>) -> OTelSdkResult {
    match sent {
        Ok(()) | Err(NotSent::ForNow | NotSent::Refused) => Ok(()),
        Err(NotSent::Ended) => Err(OTelSdkError::AlreadyShutdown),
    }
}

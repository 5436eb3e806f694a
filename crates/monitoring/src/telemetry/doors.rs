//! The doors of the two queues for what is made here: what finds a queue full is dropped and counted.
//!
//! The processors of the SDK drop too, but keep to themselves how much.

use super::{drops::Drops, exporters::Waiting};
use domain::ports::TelemetrySignal;
use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{BatchLogProcessor, LogProcessor, SdkLogRecord},
    trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor},
};
use std::{sync::atomic::Ordering, time::Duration};

const FULL: &str = "more was made than could be sent";

/// One door: how many may wait behind it, and how many do.
#[derive(Debug)]
pub(super) struct Door<P> {
    pub(super) processor: P,
    pub(super) waiting: Waiting,
    pub(super) waiting_max: usize,
    pub(super) drops: Drops,
}

impl<P> Door<P> {
    /// Takes a place in the queue, which the exporter gives back.
    fn enter(&self, signal: TelemetrySignal) -> bool {
        let entered = self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
            (waiting < self.waiting_max).then_some(waiting + 1)
        });
        if entered.is_err() {
            self.drops.add(signal, 1, FULL);
        }
        entered.is_ok()
    }
}

impl SpanProcessor for Door<BatchSpanProcessor> {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.processor.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        // What is not sampled is not queued either.
        if span.span_context.is_sampled() && self.enter(TelemetrySignal::Traces) {
            self.processor.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.processor.set_resource(resource);
    }
}

impl LogProcessor for Door<BatchLogProcessor> {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.enter(TelemetrySignal::Logs) {
            self.processor.emit(record, scope);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.processor.set_resource(resource);
    }
}

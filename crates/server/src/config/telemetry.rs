//! What is exported over OTLP, and where to: the standard variables of OpenTelemetry, read as every other setting.

mod exporter;
mod pairs;

use std::time::Duration;

use monitoring::telemetry::{
    AgentReports, BatchSettings, Content, ExportSettings, Propagation, Sampler, ServiceSettings, Share,
};

use self::exporter::{Exporters, Signal};
use super::{
    parse::{boolean, decimal, list, non_empty, number},
    reader::Reader,
};

const MAX_MS: u64 = 3_600_000;
const MAX_QUEUE: usize = 1_000_000;

/// What the server tells others about itself, beside its log lines.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    pub service: ServiceSettings,
    pub traces: Option<ExportSettings>,
    pub metrics: Option<ExportSettings>,
    pub logs: Option<ExportSettings>,
    pub sampler: Sampler,
    pub span_batches: BatchSettings,
    pub log_batches: BatchSettings,
    pub metric_interval: Duration,
    pub propagation: Propagation,
    pub content: Content,
    pub agents: AgentReports,
}

impl TelemetryConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let is_disabled = reader.value("OTEL_SDK_DISABLED", "false", boolean);
        let exporters = Exporters::read(reader);
        let name = reader.option("OTEL_SERVICE_NAME", non_empty);
        let attributes = reader.option("OTEL_RESOURCE_ATTRIBUTES", pairs::attributes);
        let sampler = read_sampler(reader);
        let span_batches = read_batches(
            reader,
            ["OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"],
            "5000",
        );
        let log_batches = read_batches(
            reader,
            ["OTEL_BLRP_SCHEDULE_DELAY", "OTEL_BLRP_MAX_QUEUE_SIZE", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"],
            "1000",
        );
        let metric_interval = reader.value("OTEL_METRIC_EXPORT_INTERVAL", "60000", millis(100..=MAX_MS));
        let propagation = reader.value("OTEL_PROPAGATORS", "tracecontext,baggage", propagation);
        let captures = reader.value("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "false", boolean);
        let agents = reader.option("AGENT_TELEMETRY", boolean);
        let (is_on, exporters) = (!is_disabled?, exporters?);
        let attributes = attributes?.unwrap_or_default();
        let exported = [Signal::Traces, Signal::Metrics, Signal::Logs].map(|signal| exporters.of(signal));
        let [traces, metrics, logs] = exported.map(|settings| settings.filter(|_| is_on));
        // What agents report costs them time, so nobody pays for it who has not asked for telemetry.
        let is_exported = traces.is_some() || metrics.is_some() || logs.is_some();
        let agents_report = agents?.unwrap_or(is_exported);
        let named = attributes.iter().find(|(key, _)| key == "service.name").map(|(_, name)| name.clone());
        Some(Self {
            service: ServiceSettings {
                name: name?.or(named).unwrap_or_else(|| "steward".to_owned()),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                attributes,
            },
            traces,
            metrics,
            logs,
            sampler: sampler?,
            span_batches: span_batches?,
            log_batches: log_batches?,
            metric_interval: metric_interval?,
            propagation: propagation?,
            content: if captures? { Content::Captured } else { Content::Hidden },
            agents: if agents_report && is_on { AgentReports::On } else { AgentReports::Off },
        })
    }
}

fn read_sampler(reader: &mut Reader<'_>) -> Option<Sampler> {
    let sampler = reader.value("OTEL_TRACES_SAMPLER", "parentbased_always_on", |text| {
        let (is_parent_based, share) = match text.strip_prefix("parentbased_") {
            Some(share) => (true, share),
            None => (false, text),
        };
        match share {
            "always_on" => Ok((is_parent_based, Some(Share::All))),
            "always_off" => Ok((is_parent_based, Some(Share::None))),
            "traceidratio" => Ok((is_parent_based, None)),
            _ => Err("always_on, always_off or traceidratio, also with parentbased_ before it".to_owned()),
        }
    });
    let ratio = reader.value("OTEL_TRACES_SAMPLER_ARG", "1.0", decimal(0.0..=1.0));
    let (ratio, (is_parent_based, share)) = (ratio?, sampler?);
    let share = share.unwrap_or(Share::Ratio(ratio));
    Some(if is_parent_based { Sampler::ParentBased(share) } else { Sampler::Fixed(share) })
}

fn read_batches(
    reader: &mut Reader<'_>,
    [delay, queue, batch]: [&'static str; 3],
    delay_default: &'static str,
) -> Option<BatchSettings> {
    let delay = reader.value(delay, delay_default, millis(1..=MAX_MS));
    let queue_max = reader.value(queue, "2048", number(1..=MAX_QUEUE));
    let batch_max = reader.value(batch, "512", number(1..=MAX_QUEUE));
    let (queue_max, batch_max) = (queue_max?, batch_max?);
    // As the standard has it: a batch is never larger than the queue.
    Some(BatchSettings { delay: delay?, queue_max, batch_max: batch_max.min(queue_max) })
}

/// Baggage is nothing that is used here; who asks for it gets no less than without.
fn propagation(text: &str) -> Result<Propagation, String> {
    let allowed = || "tracecontext and baggage with a comma between, or none".to_owned();
    let mut propagation = Propagation::Off;
    for part in list(text) {
        match part {
            "tracecontext" => propagation = Propagation::TraceContext,
            "baggage" => {}
            "none" if text == "none" => {}
            _ => return Err(allowed()),
        }
    }
    Ok(propagation)
}

fn millis(allowed: std::ops::RangeInclusive<u64>) -> impl Fn(&str) -> Result<Duration, String> {
    let read = number(allowed);
    move |text| read(text).map(Duration::from_millis).map_err(|allowed| format!("{allowed}, in milliseconds"))
}

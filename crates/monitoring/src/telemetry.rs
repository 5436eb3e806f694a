//! Telemetry: one subscriber for the process, lines on stderr, and by OTLP whatever the operator wants exported.

mod doors;
mod drops;
mod exporters;
mod line;
mod logs;
mod sender;
mod settings;

pub(crate) use self::sender::{Payload, Sender};
pub use self::{
    drops::Drops,
    logs::{LogFilter, LogFilterError, LogFormat},
    sender::SenderError,
    settings::{
        AgentReports, BatchSettings, ClientCertificate, Compression, Content, ExportSettings, Propagation,
        Protocol, Sampler, ServiceSettings, Share, TelemetrySettings, TlsSettings,
    },
};

use self::{
    doors::Door,
    exporters::{Metrics, Records, Spans, Waiting},
};
use crate::{agents::AgentReceiver, spans};
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_appender_tracing::layer::{OpenTelemetryTracingBridge, TracingSpanAttributes};
use opentelemetry_sdk::{
    Resource,
    logs::{BatchConfigBuilder as LogBatches, BatchLogProcessor, SdkLoggerProvider},
    metrics::{MeterProviderBuilder, PeriodicReader},
    trace::{
        BatchConfigBuilder as SpanBatches, BatchSpanProcessor, Sampler as SdkSampler, SdkTracerProvider,
    },
};
use std::{
    fmt,
    io::{self, IsTerminal},
    sync::Arc,
    time::Duration,
};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// Of lines about telemetry itself, which are written but not exported.
pub(crate) const OWN_TARGET: &str = "monitoring::telemetry";
/// What sends telemetry, by how its targets begin. Exporting what it says would make more to send.
const SENDING: [&str; 6] = ["h2", "hyper", "tonic", "tower", "reqwest", "opentelemetry"];
/// Fields of spans that log records take with them.
const RECORDED_WITH_LOGS: [&str; 4] = ["session_id", "turn_id", "user_id", "request_id"];
/// How long the end of each exporter may take.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A subscriber is there already: it was set up twice in one process.
    #[error("set up logging a second time")]
    AlreadySet(#[source] tracing_subscriber::util::TryInitError),
    #[error(transparent)]
    Sender(#[from] SenderError),
}

/// What is exported, as long as the process lives.
pub struct Telemetry {
    sender: Sender,
    resource: Resource,
    tracers: Option<SdkTracerProvider>,
    loggers: Option<SdkLoggerProvider>,
    metric_interval: Duration,
    drops: Drops,
    receiver: Option<Arc<AgentReceiver>>,
    settings: TelemetrySettings,
}

/// Sends everything the process logs from now on to stderr, and what is to be exported to its collectors.
///
/// Without a format, a terminal gets text and anything else JSON.
pub fn init(settings: TelemetrySettings) -> Result<Telemetry, TelemetryError> {
    let telemetry = Telemetry::new(settings)?;
    let terminal = io::stderr().is_terminal();
    let format = telemetry.settings.format;
    let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let lines = logs::layer(&telemetry.settings.filter, format, io::stderr, terminal);
    let subscriber = tracing_subscriber::registry()
        .with(telemetry.span_layer())
        .with(telemetry.record_layer())
        .with(lines);
    subscriber.try_init().map_err(TelemetryError::AlreadySet)?;
    spans::begin(telemetry.tracers.is_some(), telemetry.settings.content, telemetry.settings.propagation);
    Ok(telemetry)
}

impl Telemetry {
    fn new(settings: TelemetrySettings) -> Result<Self, TelemetryError> {
        let drops = Drops::default();
        let sender = Sender::start(
            settings.traces.as_ref(),
            settings.metrics.as_ref(),
            settings.logs.as_ref(),
            drops.clone(),
        )?;
        let resource = resource(&settings.service);
        let tracers = settings.traces.is_some().then(|| tracers(&settings, &sender, &resource, &drops));
        let loggers = settings.logs.is_some().then(|| loggers(&settings, &sender, &resource, &drops));
        let receiver = match settings.agents {
            AgentReports::On => Some(Arc::new(AgentReceiver::new(
                sender.clone(),
                drops.clone(),
                &settings.service,
                settings.content,
            ))),
            AgentReports::Off => None,
        };
        let metric_interval = settings.metric_interval;
        Ok(Self { sender, resource, tracers, loggers, metric_interval, drops, receiver, settings })
    }

    /// Only spans that are made on purpose: those of libraries would tell what we do not know.
    fn span_layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: tracing::Subscriber + for<'s> tracing_subscriber::registry::LookupSpan<'s> + Send + Sync,
    {
        let tracer = self.tracers.as_ref()?.tracer("steward");
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false);
        Some(layer.with_filter(Targets::new().with_target(spans::TARGET, LevelFilter::INFO)))
    }

    fn record_layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: tracing::Subscriber + for<'s> tracing_subscriber::registry::LookupSpan<'s> + Send + Sync,
    {
        let bridge = OpenTelemetryTracingBridge::builder(self.loggers.as_ref()?)
            .with_tracing_span_attributes(TracingSpanAttributes::allowlist(RECORDED_WITH_LOGS))
            .build();
        let quiet = SENDING.iter().chain([&OWN_TARGET]);
        let wanted = quiet.fold(self.settings.filter.targets(), |targets, target| {
            targets.with_target(*target, LevelFilter::OFF)
        });
        Some(bridge.with_filter(wanted))
    }

    /// Lets a meter provider export its metrics too, if they are to be exported.
    #[must_use]
    pub fn export_metrics(&self, builder: MeterProviderBuilder) -> MeterProviderBuilder {
        let builder = builder.with_resource(self.resource.clone());
        if self.settings.metrics.is_none() {
            return builder;
        }
        let exporter = Metrics::new(self.sender.clone());
        builder.with_reader(PeriodicReader::builder(exporter).with_interval(self.metric_interval).build())
    }

    /// What was lost on its way out.
    #[must_use]
    pub fn drops(&self) -> Drops {
        self.drops.clone()
    }

    /// Takes in what agents report; `None` when they are not to.
    #[must_use]
    pub fn receiver(&self) -> Option<Arc<AgentReceiver>> {
        self.receiver.clone()
    }

    /// Sends what is left, for a bounded time. Blocks: call it where that does no harm.
    pub fn shutdown(&self) {
        if let Some(tracers) = &self.tracers
            && let Err(error) = tracers.shutdown_with_timeout(SHUTDOWN_TIMEOUT)
        {
            tracing::warn!(target: OWN_TARGET, %error, "the last spans may not have been sent");
        }
        if let Some(loggers) = &self.loggers
            && let Err(error) = loggers.shutdown_with_timeout(SHUTDOWN_TIMEOUT)
        {
            tracing::warn!(target: OWN_TARGET, %error, "the last log records may not have been sent");
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("drops", &self.drops).finish_non_exhaustive()
    }
}

fn resource(service: &ServiceSettings) -> Resource {
    let attributes =
        service.attributes.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    // Nothing is detected: what the environment says was read with the settings.
    Resource::builder_empty()
        .with_attribute(KeyValue::new("service.version", service.version.clone()))
        // Another one with each start; without it the series of several servers would be one.
        .with_attribute(KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()))
        .with_attributes(attributes)
        .with_service_name(service.name.clone())
        .build()
}

fn tracers(
    settings: &TelemetrySettings,
    sender: &Sender,
    resource: &Resource,
    drops: &Drops,
) -> SdkTracerProvider {
    let waiting = Waiting::default();
    let batches = settings.span_batches;
    let config = SpanBatches::default()
        .with_max_queue_size(batches.queue_max)
        .with_max_export_batch_size(batches.batch_max)
        .with_scheduled_delay(batches.delay)
        .build();
    let exporter = Spans::new(sender.clone(), waiting.clone());
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    let door = Door { processor, waiting, waiting_max: batches.queue_max, drops: drops.clone() };
    let sampler = match settings.sampler {
        Sampler::Fixed(share) => share.sampler(),
        Sampler::ParentBased(share) => SdkSampler::ParentBased(Box::new(share.sampler())),
    };
    SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_sampler(sampler)
        .with_span_processor(door)
        .build()
}

fn loggers(
    settings: &TelemetrySettings,
    sender: &Sender,
    resource: &Resource,
    drops: &Drops,
) -> SdkLoggerProvider {
    let waiting = Waiting::default();
    let batches = settings.log_batches;
    let config = LogBatches::default()
        .with_max_queue_size(batches.queue_max)
        .with_max_export_batch_size(batches.batch_max)
        .with_scheduled_delay(batches.delay)
        .build();
    let exporter = Records::new(sender.clone(), waiting.clone());
    let processor = BatchLogProcessor::builder(exporter).with_batch_config(config).build();
    let door = Door { processor, waiting, waiting_max: batches.queue_max, drops: drops.clone() };
    SdkLoggerProvider::builder().with_resource(resource.clone()).with_log_processor(door).build()
}

impl Share {
    fn sampler(self) -> SdkSampler {
        match self {
            Self::All => SdkSampler::AlwaysOn,
            Self::None => SdkSampler::AlwaysOff,
            Self::Ratio(ratio) => SdkSampler::TraceIdRatioBased(ratio),
        }
    }
}

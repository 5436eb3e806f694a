//! The instruments of the server: one provider, read by Prometheus and by whoever else was asked for.

mod catalogue;
pub(crate) mod labels;
mod process;
mod scrape;

pub use catalogue::{Kind, Metric, catalogue, table};
pub use scrape::{CONTENT_TYPE, Scrape, ScrapeError};

pub(crate) use catalogue::Instruments;

use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::{
    error::OTelSdkError,
    metrics::{Instrument, MeterProviderBuilder, SdkMeterProvider, Stream},
};
use prometheus::Registry;

/// The scope under which the instruments are known.
const SCOPE: &str = "steward";

/// Why there are no instruments.
#[derive(Debug, thiserror::Error)]
#[error("set up the metrics")]
pub struct MetersError(#[from] OTelSdkError);

/// The instruments and the provider they belong to.
#[derive(Debug)]
pub(crate) struct Meters {
    pub(crate) instruments: Instruments,
    pub(crate) provider: SdkMeterProvider,
    pub(crate) scrape: Scrape,
}

impl Meters {
    /// One provider for all exits: Prometheus, which asks, and those that `further` adds, which are told.
    pub(crate) fn new(
        further: impl FnOnce(MeterProviderBuilder) -> MeterProviderBuilder,
    ) -> Result<Self, MetersError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            // Every series would have the same; a scrape knows what it scrapes.
            .scope_info_enabled(false)
            .without_target_info()
            .build()?;
        let builder = SdkMeterProvider::builder().with_reader(exporter).with_view(bounded);
        let provider = further(builder).build();
        let meter = provider.meter(SCOPE);
        let instruments = Instruments::new(&meter);
        instruments.start_at_zero();
        process::observe(&meter);
        Ok(Self { instruments, provider, scrape: Scrape::new(registry) })
    }
}

/// Has an instrument keep no more room than its series may need.
fn bounded(instrument: &Instrument) -> Option<Stream> {
    let metric = catalogue().find(|metric| metric.otel_name == instrument.name())?;
    // The bounds are constants that make a stream.
    Stream::builder().with_cardinality_limit(metric.series_max()?).build().ok()
}

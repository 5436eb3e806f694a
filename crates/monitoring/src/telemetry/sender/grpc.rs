//! OTLP over gRPC.

use super::{NotSent, Payload, Taken, tls::Tls, unreachable};
use crate::telemetry::settings::{Compression, ExportSettings};
use opentelemetry_proto::tonic::collector::{
    logs::v1::logs_service_client::LogsServiceClient,
    metrics::v1::metrics_service_client::MetricsServiceClient,
    trace::v1::trace_service_client::TraceServiceClient,
};
use secrecy::ExposeSecret;
use tonic::{
    Code, Request, Status,
    codec::CompressionEncoding,
    metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

/// A client over a channel that connects when it is first used, and again when it must.
pub(super) struct Client {
    channel: Channel,
    metadata: MetadataMap,
    compression: Compression,
}

impl Client {
    /// Must be called on the runtime that sends.
    pub(super) fn new(settings: &ExportSettings, tls: &Tls) -> Result<Self, String> {
        let endpoint = Endpoint::from_shared(settings.endpoint.clone()).map_err(|error| error.to_string())?;
        let mut endpoint = endpoint.timeout(settings.timeout).connect_timeout(settings.timeout);
        if settings.endpoint.starts_with("https://") {
            let mut config = match &tls.authorities {
                Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                None => ClientTlsConfig::new().with_native_roots(),
            };
            if let Some(own) = &tls.identity {
                config = config.identity(Identity::from_pem(&own.certificate, &own.key));
            }
            endpoint = endpoint.tls_config(config).map_err(|error| error.to_string())?;
        }
        let mut metadata = MetadataMap::new();
        for (name, value) in &settings.headers {
            let key: AsciiMetadataKey = name
                .to_ascii_lowercase()
                .parse()
                .map_err(|_| format!("the header {name} has no good name"))?;
            let mut value: AsciiMetadataValue = value
                .expose_secret()
                .parse()
                .map_err(|_| format!("the header {name} has a value that cannot be sent"))?;
            value.set_sensitive(true);
            metadata.insert(key, value);
        }
        Ok(Self { channel: endpoint.connect_lazy(), metadata, compression: settings.compression })
    }

    pub(super) async fn send(&self, payload: &Payload) -> Result<Taken, NotSent> {
        // Each client is a handle on the one channel.
        macro_rules! export {
            ($client:ident, $request:expr, $rejected:ident) => {{
                let client = $client::new(self.channel.clone());
                let mut client = match self.compression {
                    Compression::None => client,
                    Compression::Gzip => client.send_compressed(CompressionEncoding::Gzip),
                };
                let answer =
                    client.export(self.request($request.clone())).await.map_err(|status| why(&status))?;
                answer.into_inner().partial_success.map_or(0, |part| part.$rejected)
            }};
        }
        let rejected = match payload {
            Payload::Traces(request) => export!(TraceServiceClient, request, rejected_spans),
            Payload::Metrics(request) => export!(MetricsServiceClient, request, rejected_data_points),
            Payload::Logs(request) => export!(LogsServiceClient, request, rejected_log_records),
        };
        Ok(Taken { rejected: u64::try_from(rejected).unwrap_or_default() })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request
    }
}

/// As the OTLP specification sorts them.
fn why(status: &Status) -> NotSent {
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => unreachable(status),
        _ => NotSent::Refused,
    }
}

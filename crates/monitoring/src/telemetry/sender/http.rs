//! OTLP over HTTP, in protobuf.

use super::{NotSent, Payload, Taken, tls::Tls, unreachable};
use crate::telemetry::settings::{Compression, ExportSettings};
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceResponse, metrics::v1::ExportMetricsServiceResponse,
    trace::v1::ExportTraceServiceResponse,
};
use prost::Message;
use reqwest::{
    StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use secrecy::ExposeSecret;
use std::io::Write;

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// A client for one URL.
pub(super) struct Client {
    client: reqwest::Client,
    url: String,
    compression: Compression,
}

impl Client {
    pub(super) fn new(settings: &ExportSettings, tls: &Tls) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let key: HeaderName = name.parse().map_err(|_| format!("the header {name} has no good name"))?;
            let mut value = HeaderValue::from_str(value.expose_secret())
                .map_err(|_| format!("the header {name} has a value that cannot be sent"))?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if settings.compression == Compression::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        // A redirect would take the headers elsewhere.
        let mut builder = reqwest::Client::builder()
            .timeout(settings.timeout)
            .default_headers(headers)
            .redirect(Policy::none());
        if let Some(pem) = &tls.authorities {
            let certificates =
                reqwest::Certificate::from_pem_bundle(pem).map_err(|error| error.to_string())?;
            builder = builder.tls_certs_only(certificates);
        }
        if let Some(own) = &tls.identity {
            let both = [own.key.as_slice(), b"\n", &own.certificate].concat();
            let identity = reqwest::Identity::from_pem(&both).map_err(|error| error.to_string())?;
            builder = builder.identity(identity);
        }
        let client = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { client, url: settings.endpoint.clone(), compression: settings.compression })
    }

    pub(super) async fn send(&self, payload: &Payload) -> Result<Taken, NotSent> {
        let body = match payload {
            Payload::Traces(request) => request.encode_to_vec(),
            Payload::Metrics(request) => request.encode_to_vec(),
            Payload::Logs(request) => request.encode_to_vec(),
        };
        let body = match self.compression {
            Compression::None => body,
            Compression::Gzip => gzip(&body)?,
        };
        let answer = self.client.post(&self.url).body(body).send().await;
        let answer = answer.map_err(|error| unreachable(&error.without_url()))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(why(status));
        }
        if answer.content_length().unwrap_or_default() > ANSWER_BYTES_MAX {
            return Ok(Taken::default());
        }
        // It was taken; what cannot be read of the answer changes nothing.
        let answer = answer.bytes().await.unwrap_or_default();
        Ok(Taken { rejected: rejected(payload, &answer) })
    }
}

fn gzip(body: &[u8]) -> Result<Vec<u8>, NotSent> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).and_then(|()| encoder.finish()).map_err(|_| NotSent::Refused)
}

fn rejected(payload: &Payload, answer: &[u8]) -> u64 {
    let rejected = match payload {
        Payload::Traces(_) => ExportTraceServiceResponse::decode(answer)
            .ok()
            .and_then(|answer| answer.partial_success)
            .map(|part| part.rejected_spans),
        Payload::Metrics(_) => ExportMetricsServiceResponse::decode(answer)
            .ok()
            .and_then(|answer| answer.partial_success)
            .map(|part| part.rejected_data_points),
        Payload::Logs(_) => ExportLogsServiceResponse::decode(answer)
            .ok()
            .and_then(|answer| answer.partial_success)
            .map(|part| part.rejected_log_records),
    };
    rejected.and_then(|count| u64::try_from(count).ok()).unwrap_or_default()
}

/// As the OTLP specification sorts them.
fn why(status: StatusCode) -> NotSent {
    match status.as_u16() {
        429 | 502 | 503 | 504 => NotSent::ForNow,
        _ => NotSent::Refused,
    }
}

//! How each signal reaches its collector: settings for all signals, and for each one those that win over them.

use std::{path::PathBuf, time::Duration};

use monitoring::telemetry::{ClientCertificate, Compression, ExportSettings, Protocol, TlsSettings};
use secrecy::{ExposeSecret, SecretString};

use super::{MAX_MS, millis, pairs};
use crate::config::{
    parse::{http_url, path},
    reader::Reader,
};

/// One of the three.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    Traces,
    Metrics,
    Logs,
}

/// Where a standard collector listens for HTTP, where only an exporter is named.
const HTTP_ENDPOINT: &str = "http://localhost:4318";
const GRPC_ENDPOINT: &str = "http://localhost:4317";

/// The names of settings of one kind.
struct Names {
    exporter: &'static str,
    endpoint: &'static str,
    protocol: &'static str,
    headers: &'static str,
    timeout: &'static str,
    compression: &'static str,
    certificate: &'static str,
    client_certificate: &'static str,
    client_key: &'static str,
}

const ALL: Names = Names {
    exporter: "",
    endpoint: "OTEL_EXPORTER_OTLP_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_PROTOCOL",
    headers: "OTEL_EXPORTER_OTLP_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_TIMEOUT",
    compression: "OTEL_EXPORTER_OTLP_COMPRESSION",
    certificate: "OTEL_EXPORTER_OTLP_CERTIFICATE",
    client_certificate: "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    client_key: "OTEL_EXPORTER_OTLP_CLIENT_KEY",
};
const TRACES: Names = Names {
    exporter: "OTEL_TRACES_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    headers: "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    compression: "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    certificate: "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    client_certificate: "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
    client_key: "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
};
const METRICS: Names = Names {
    exporter: "OTEL_METRICS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    headers: "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
    compression: "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
    certificate: "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
    client_certificate: "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
    client_key: "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
};
const LOGS: Names = Names {
    exporter: "OTEL_LOGS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
    headers: "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
    compression: "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION",
    certificate: "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
    client_certificate: "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
    client_key: "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY",
};

/// What was said for one signal, or for all.
struct Said {
    /// Whether it is to be exported, if that was said.
    is_wanted: Option<bool>,
    endpoint: Option<String>,
    protocol: Option<Protocol>,
    headers: Option<SecretString>,
    timeout: Option<Duration>,
    compression: Option<Compression>,
    certificate: Option<PathBuf>,
    client: Option<ClientCertificate>,
}

/// Everything that was said.
pub(super) struct Exporters {
    all: Said,
    traces: Said,
    metrics: Said,
    logs: Said,
}

impl Exporters {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let all = Said::read_all(reader);
        let traces = Said::read(reader, &TRACES);
        let metrics = Said::read(reader, &METRICS);
        let logs = Said::read(reader, &LOGS);
        Some(Self { all: all?, traces: traces?, metrics: metrics?, logs: logs? })
    }

    /// How this signal is exported; not at all unless an exporter or an endpoint was named.
    pub(super) fn of(&self, signal: Signal) -> Option<ExportSettings> {
        let (own, path) = match signal {
            Signal::Traces => (&self.traces, "v1/traces"),
            Signal::Metrics => (&self.metrics, "v1/metrics"),
            Signal::Logs => (&self.logs, "v1/logs"),
        };
        let has_endpoint = own.endpoint.is_some() || self.all.endpoint.is_some();
        if !own.is_wanted.unwrap_or(has_endpoint) {
            return None;
        }
        let protocol = own.protocol.or(self.all.protocol).unwrap_or(Protocol::HttpProtobuf);
        let endpoint = match (protocol, &own.endpoint, &self.all.endpoint) {
            // Of one signal it is the whole address, of all it is what their paths are put behind.
            (_, Some(own), _) => own.clone(),
            (Protocol::HttpProtobuf, None, all) => {
                format!("{}/{path}", all.as_deref().unwrap_or(HTTP_ENDPOINT))
            }
            (Protocol::Grpc, None, all) => all.as_deref().unwrap_or(GRPC_ENDPOINT).to_owned(),
        };
        let headers = own.headers.as_ref().or(self.all.headers.as_ref());
        let headers = headers.map(|text| pairs::headers(text.expose_secret()).unwrap_or_default());
        let headers =
            headers.unwrap_or_default().into_iter().map(|(name, value)| (name, value.into())).collect();
        Some(ExportSettings {
            endpoint,
            protocol,
            headers,
            timeout: own.timeout.or(self.all.timeout).unwrap_or(Duration::from_secs(10)),
            compression: own.compression.or(self.all.compression).unwrap_or(Compression::None),
            tls: TlsSettings {
                certificate: own.certificate.clone().or_else(|| self.all.certificate.clone()),
                client: own.client.clone().or_else(|| self.all.client.clone()),
            },
        })
    }
}

impl Said {
    /// For all signals, with the defaults.
    fn read_all(reader: &mut Reader<'_>) -> Option<Self> {
        let endpoint = reader.option(ALL.endpoint, http_url);
        let protocol = reader.value(ALL.protocol, "http/protobuf", protocol);
        let headers = reader.secret(ALL.headers, |text| pairs::headers(text).map(drop));
        let timeout = reader.value(ALL.timeout, "10000", millis(1..=MAX_MS));
        let compression = reader.value(ALL.compression, "none", compression);
        let certificate = reader.option(ALL.certificate, path);
        let client = client(reader, &ALL);
        Some(Self {
            is_wanted: None,
            endpoint: endpoint?,
            protocol: Some(protocol?),
            headers: headers?,
            timeout: Some(timeout?),
            compression: Some(compression?),
            certificate: certificate?,
            client: client?,
        })
    }

    fn read(reader: &mut Reader<'_>, names: &Names) -> Option<Self> {
        let is_wanted = reader.option(names.exporter, |text| match text {
            "otlp" => Ok(true),
            "none" => Ok(false),
            _ => Err("otlp or none".to_owned()),
        });
        let endpoint = reader.option(names.endpoint, http_url);
        let protocol = reader.option(names.protocol, protocol);
        let headers = reader.secret(names.headers, |text| pairs::headers(text).map(drop));
        let timeout = reader.option(names.timeout, millis(1..=MAX_MS));
        let compression = reader.option(names.compression, compression);
        let certificate = reader.option(names.certificate, path);
        let client = client(reader, names);
        Some(Self {
            is_wanted: is_wanted?,
            endpoint: endpoint?,
            protocol: protocol?,
            headers: headers?,
            timeout: timeout?,
            compression: compression?,
            certificate: certificate?,
            client: client?,
        })
    }
}

/// Both files or none; a mistake is `None`.
fn client(reader: &mut Reader<'_>, names: &Names) -> Option<Option<ClientCertificate>> {
    let certificate = reader.option(names.client_certificate, path);
    let key = reader.option(names.client_key, path);
    match (certificate?, key?) {
        (Some(certificate), Some(key)) => Some(Some(ClientCertificate { certificate, key })),
        (None, None) => Some(None),
        (certificate, _) => {
            let missing = if certificate.is_some() { names.client_key } else { names.client_certificate };
            reader.mistake(missing, "a file: a client certificate and its key go together");
            None
        }
    }
}

fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "grpc" => Ok(Protocol::Grpc),
        "http/protobuf" => Ok(Protocol::HttpProtobuf),
        _ => Err("grpc or http/protobuf".to_owned()),
    }
}

fn compression(text: &str) -> Result<Compression, String> {
    match text {
        "none" => Ok(Compression::None),
        "gzip" => Ok(Compression::Gzip),
        _ => Err("none or gzip".to_owned()),
    }
}

//! What an agent is told so that it reports about itself: to us, over the way it has already.

use domain::ModelEndpoint;
use std::collections::BTreeMap;

/// Where reports go, below the agent's own address of the model.
const PATH: &str = "/otel";
/// Between two reports of the same kind, in milliseconds.
const SPANS_EVERY_MS: &str = "2000";
const METRICS_EVERY_MS: &str = "15000";
const PREFIX: &str = "OTEL_";

/// What agents report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reporting {
    /// Spans and log records, where anybody takes them; metrics always.
    pub traces: bool,
    pub logs: bool,
    /// Whether prompts, answers, and inputs and outputs of tools are among it.
    pub content: bool,
}

impl Reporting {
    /// Puts what tells an agent so into its environment. What was there of the kind goes: reports carry the agent's
    /// token.
    pub(crate) fn into_env(self, endpoint: &ModelEndpoint, env: &mut BTreeMap<String, String>) {
        let exporter = |is_wanted: bool| if is_wanted { "otlp" } else { "none" };
        let flag = |is_wanted: bool| if is_wanted { "1" } else { "0" };
        env.retain(|name, _| !name.starts_with(PREFIX));
        let mut set = |name: &str, value: &str| {
            env.insert(name.to_owned(), value.to_owned());
        };
        set("CLAUDE_CODE_ENABLE_TELEMETRY", "1");
        // Without it there are no spans; with it requests to the model name the span they are part of.
        set("CLAUDE_CODE_ENHANCED_TELEMETRY_BETA", flag(self.traces));
        set("CLAUDE_CODE_PROPAGATE_TRACEPARENT", flag(self.traces));
        // These are spans of another kind, with content.
        set("ENABLE_BETA_TRACING_DETAILED", "0");
        set("OTEL_TRACES_EXPORTER", exporter(self.traces));
        set("OTEL_METRICS_EXPORTER", exporter(true));
        set("OTEL_LOGS_EXPORTER", exporter(self.logs));
        set("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        set("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("{}{PATH}", endpoint.base_url));
        set("OTEL_EXPORTER_OTLP_HEADERS", &format!("x-api-key={}", endpoint.token));
        set("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta");
        set("OTEL_TRACES_EXPORT_INTERVAL", SPANS_EVERY_MS);
        set("OTEL_LOGS_EXPORT_INTERVAL", SPANS_EVERY_MS);
        set("OTEL_METRIC_EXPORT_INTERVAL", METRICS_EVERY_MS);
        for switch in ["USER_PROMPTS", "ASSISTANT_RESPONSES", "TOOL_DETAILS", "TOOL_CONTENT"] {
            set(&format!("OTEL_LOG_{switch}"), flag(self.content));
        }
        // Whole conversations, which no backend takes.
        set("OTEL_LOG_RAW_API_BODIES", "0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_go_to_us_whatever_the_session_wants() {
        let endpoint = ModelEndpoint { base_url: "http://127.0.0.1:9".to_owned(), token: "own".to_owned() };
        let mut env: BTreeMap<String, String> = [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://elsewhere"),
            ("OTEL_LOG_USER_PROMPTS", "1"),
            ("CLAUDE_CODE_ENABLE_TELEMETRY", "0"),
            ("PATH", "/bin"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        Reporting { traces: true, logs: false, content: false }.into_env(&endpoint, &mut env);
        let value = |name: &str| env.get(name).map(String::as_str);
        assert_eq!(value("OTEL_EXPORTER_OTLP_ENDPOINT"), Some("http://127.0.0.1:9/otel"));
        assert_eq!(value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), None);
        assert_eq!(value("OTEL_LOG_USER_PROMPTS"), Some("0"));
        assert_eq!(value("OTEL_LOGS_EXPORTER"), Some("none"));
        assert_eq!(value("CLAUDE_CODE_ENABLE_TELEMETRY"), Some("1"));
        assert_eq!(value("PATH"), Some("/bin"));
    }
}

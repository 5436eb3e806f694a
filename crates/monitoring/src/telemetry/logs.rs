//! Log lines on stderr: which, and in which form.

use super::line::JsonLine;
use std::{fmt, str::FromStr};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    fmt::{Layer as Lines, MakeWriter, format::JsonFields},
    registry::LookupSpan,
};

/// The HTTP parser logs an error for each request head it cannot read, so any stranger could fill the log. Those
/// requests are answered with a 4xx, which is all there is to say; a filter that names this target shows them again.
const STRANGERS_TARGET: &str = "actix_http::h1::dispatcher";

/// Which lines are written: a level, or a level and exceptions by target, such as `info,sqlx=warn`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogFilter(Targets);

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: one line, coloured on a terminal.
    Text,
    /// For collectors: one JSON object a line.
    Json,
}

/// What is wrong with a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("understand the log filter part {part:?}")]
pub struct LogFilterError {
    /// The part between two commas that is neither a level nor `target=level`.
    pub part: String,
}

/// The layer that writes lines.
pub(super) fn layer<S, W>(
    filter: &LogFilter,
    format: LogFormat,
    writer: W,
    coloured: bool,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s> + Send + Sync,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = Lines::default().with_writer(writer);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(coloured).boxed(),
        LogFormat::Json => lines.fmt_fields(JsonFields::new()).event_format(JsonLine).boxed(),
    };
    lines.with_filter(filter.targets()).boxed()
}

impl LogFilter {
    pub(super) fn targets(&self) -> Targets {
        self.0.clone()
    }
}

impl FromStr for LogFilter {
    type Err = LogFilterError;

    /// Reads `level` and `target=level` parts.
    ///
    /// Stricter than the parser it uses, which takes a misspelt level for the name of a target and then logs nothing.
    fn from_str(text: &str) -> Result<Self, LogFilterError> {
        let mut targets = Targets::new().with_target(STRANGERS_TARGET, LevelFilter::OFF);
        for part in text.split(',').map(str::trim) {
            let error = || LogFilterError { part: part.to_owned() };
            let (target, level) = match part.split_once('=') {
                Some((target, level)) => (Some(target.trim()), level.trim()),
                None => (None, part),
            };
            let level = parse_level(level).ok_or_else(error)?;
            targets = match target {
                Some("") => return Err(error()),
                Some(target) => targets.with_target(target, level),
                None => targets.with_default(level),
            };
        }
        Ok(Self(targets))
    }
}

/// Words only: the parser of `tracing` also takes digits and the empty string.
fn parse_level(word: &str) -> Option<LevelFilter> {
    word.starts_with(|first: char| first.is_ascii_alphabetic()).then(|| word.parse().ok())?
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, format: LogFormat) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = layer(&filter.parse().unwrap(), format, move || writer.clone(), false);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "steward::tests", session = 7, "shown");
            tracing::info!(target: "sqlx::query", "noise");
            tracing::error!(target: "actix_http::h1::dispatcher", "stream error");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_carry_the_fields_at_the_top() {
        let line: serde_json::Value =
            serde_json::from_str(&logged("info,sqlx=warn", LogFormat::Json)).unwrap();
        assert_eq!(line["message"], "shown");
        assert_eq!(line["session"], 7);
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn text_lines_are_plain_when_not_on_a_terminal() {
        let text = logged("info", LogFormat::Text);
        assert!(text.contains("INFO steward::tests: shown session=7\n"), "{text}");
        assert!(text.contains("noise"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn the_filter_holds_lines_back() {
        assert_eq!(logged("off", LogFormat::Text), "");
        assert_eq!(logged("WARN", LogFormat::Text), "");
    }

    #[test]
    fn a_stranger_fills_the_log_only_where_the_operator_wants_to_see_it() {
        for filter in ["info", "trace", "warn,actix_http=debug"] {
            assert!(!logged(filter, LogFormat::Text).contains("stream error"), "{filter}");
        }
        let asked = logged("warn,actix_http::h1::dispatcher=error", LogFormat::Text);
        assert!(asked.contains("stream error"), "{asked}");
    }

    #[test]
    fn a_misspelt_level_is_a_mistake() {
        for wrong in ["verbose", "", "info,", "sqlx=loud", "=info", "3", "info;debug"] {
            assert!(wrong.parse::<LogFilter>().is_err(), "{wrong:?}");
        }
    }
}

//! What the program tells about itself while it runs: logs on standard error, and the registry of its metrics.
//!
//! Standard output stays free for what a command prints. No layer here writes bodies or headers.

use std::{
    io::{self, IsTerminal},
    sync::OnceLock,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, filter,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// A level, or one for each part: `info,kopru::hub=debug,sqlx=warn`.
    pub level: String,
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a person.
    Text,
    /// One object a line, for collectors.
    Json,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("`{level}` is no log level: use error, warn, info, debug or trace, or pairs such as info,kopru::hub=debug")]
    Level { level: String, source: filter::ParseError },
    #[error("logging was set up before")]
    Twice,
}

/// Once per process, before anything that may log.
pub fn init(logging: &Logging) -> Result<(), TelemetryError> {
    subscriber(logging, io::stderr, io::stderr().is_terminal())?.try_init().map_err(|_| TelemetryError::Twice)?;
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let backtrace = std::backtrace::Backtrace::capture();
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        match backtrace.status() {
            std::backtrace::BacktraceStatus::Captured => {
                tracing::error!(location, message, %backtrace, "a part of the program panicked: this is a bug");
            }
            _ => tracing::error!(location, message, "a part of the program panicked: this is a bug"),
        }
    }));
    Ok(())
}

fn subscriber<W>(logging: &Logging, writer: W, colours: bool) -> Result<impl Subscriber + Send + Sync, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let levels = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        // Its informational lines tell of itself, not of us. Whoever names it gets them.
        .parse(format!("tokio_cron_scheduler=warn,{}", logging.level))
        .map_err(|source| TelemetryError::Level { level: logging.level.clone(), source })?;
    let layer = fmt::layer().with_writer(writer);
    let layer = match logging.format {
        // Left alone on a terminal, where it honours NO_COLOR by itself.
        Format::Text if colours => layer.boxed(),
        Format::Text => layer.with_ansi(false).boxed(),
        Format::Json => layer.json().flatten_event(true).with_current_span(false).with_span_list(true).boxed(),
    };
    Ok(tracing_subscriber::registry().with(layer.with_filter(filter::filter_fn(carries_no_secret))).with(levels))
}

/// HTTP/2 frames in debug logs show the headers of every request, tokens included: never, at any configured level.
fn carries_no_secret(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    !(target == "h2" || target.starts_with("h2::")) || *metadata.level() <= Level::INFO
}

/// The process's metrics, as `GET /metrics` renders them. The first call installs the recorder behind the `metrics`
/// macros; what is counted before it is lost.
pub fn metrics() -> PrometheusHandle {
    static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();
    INSTALLED.get_or_init(install_recorder).clone()
}

/// From a cached read, over a page that waits for a slow remote, to a complete pass over a large catalogue.
const SECONDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 1800.0];

fn install_recorder() -> PrometheusHandle {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .expect("the list of buckets is not empty")
        .build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another metrics recorder is installed in this process: /metrics will stay empty");
    }
    metrics::gauge!("kopru_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    handle
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, format: Format, work: impl FnOnce()) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let logging = Logging { level: level.to_owned(), format };
        let subscriber = subscriber(&logging, move || writer.clone(), false).expect("a good level");
        tracing::subscriber::with_default(subscriber, work);
        let bytes = captured.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn json_lines_carry_fields_and_the_spans_they_stand_in() {
        let text = logged("info", Format::Json, || {
            let span = tracing::info_span!("request", correlation_id = "abc");
            let _entered = span.enter();
            tracing::info!(connector = "logo", "the page was applied");
            tracing::debug!("not asked for");
        });
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).expect("one JSON line");
        assert_eq!(line["message"], "the page was applied");
        assert_eq!(line["connector"], "logo");
        assert_eq!(line["spans"][0]["correlation_id"], "abc");
    }

    #[test]
    fn text_without_a_terminal_has_no_colour_codes_and_levels_hold_for_each_part() {
        let text = logged("warn,kopru::hub=debug", Format::Text, || {
            tracing::info!(target: "kopru::http", "left out");
            tracing::debug!(target: "kopru::hub", "kept");
        });
        assert!(text.contains("kept") && !text.contains("left out") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn frames_with_tokens_are_never_logged() {
        let text = logged("trace", Format::Text, || {
            tracing::debug!(target: "h2::codec::framed_write", "authorization: Bearer secret");
            tracing::trace!(target: "h2", "authorization: Bearer secret");
            tracing::trace!(target: "h2o", "another crate");
        });
        assert!(!text.contains("secret") && text.contains("another crate"), "{text}");
    }

    #[test]
    fn a_bad_level_says_what_is_allowed() {
        let bad = Logging { level: "kopru=loud".to_owned(), format: Format::Text };
        let error = subscriber(&bad, io::sink, false).err().expect("refused").to_string();
        assert!(error.contains("`kopru=loud` is no log level") && error.contains("debug or trace"), "{error}");
    }
}

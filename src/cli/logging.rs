//! Where logs go and which of them.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Who is looking: a daemon tells its story, a command only what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    #[expect(dead_code, reason = "no daemon command yet")]
    Daemon,
    Command,
}

/// Once in a process. The level was checked with the configuration.
pub(super) fn start(log: &LogConfig, voice: Voice) {
    // Somebody who sets another level than the usual one wants to see it in a command, too.
    let level = if voice == Voice::Command && log.level == "info" { "warn" } else { log.level.as_str() };
    let filter = EnvFilter::builder().parse_lossy(level);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // An error means that a test has set up its own subscriber.
    let _ = match log.format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

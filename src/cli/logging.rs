//! Where logs go and which of them.

use crate::{
    config::{LogConfig, LogFormat},
    telemetry::{self, Format, Logging},
};

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
    let format = match log.format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    // An error means that a test has set up its own subscriber.
    let _ = telemetry::init(&Logging { level: level.to_owned(), format });
}

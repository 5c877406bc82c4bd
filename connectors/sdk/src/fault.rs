//! How a call to another system failed. A fault is a decision: each variant has exactly one consequence in the
//! engine (see [`Fault::cause`] and `hub::retry`).

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Who has to act on a failure. The words are used in the store, the API and the CLI alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The document itself is wrong: that item is dead-lettered, the rest go on.
    Data,
    /// The other system is down or throttles: breaker, hold.
    Remote,
    /// Our credentials are refused: the connector pauses and alerts.
    Credential,
    /// The other system does not behave as agreed (closed period, missing permission, changed format): pause and alert.
    Contract,
    /// A bug of ours: dead-lettered, grouped by fingerprint.
    Ours,
}

impl Cause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::Data => "data",
            Cause::Remote => "remote",
            Cause::Credential => "credential",
            Cause::Contract => "contract",
            Cause::Ours => "ours",
        }
    }

    pub fn parse(text: &str) -> Option<Cause> {
        [Cause::Data, Cause::Remote, Cause::Credential, Cause::Contract, Cause::Ours]
            .into_iter()
            .find(|cause| cause.as_str() == text)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the other side will never accept this document as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable reason code, `snake_case`: `unknown_code`, `too_long`, `duplicate_number` …
    pub reason: String,
    /// Path of the field that was refused, in the remote's words, when it names one.
    pub field: Option<String>,
    /// The refused value, when known and not personal.
    pub value: Option<String>,
    /// One sentence for a person.
    pub detail: String,
}

/// The reason of [`Fault::too_large`].
const ANSWER_TOO_LARGE: &str = "answer_too_large";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Connection refused, cut while reading, 5xx, locked record: the same call may succeed later.
    #[error("{detail}")]
    Transient { detail: String },
    /// The other side asks us to slow down; `wait` is its own wish when it gave one.
    #[error("{detail}")]
    RateLimited { wait: Option<Duration>, detail: String },
    /// No retry can mend it.
    #[error("{}", .0.detail)]
    Permanent(Refusal),
    /// Credentials refused (after one renewal).
    #[error("{detail}")]
    Unauthenticated { detail: String },
    /// The system answers, but not as agreed.
    #[error("{detail}")]
    Contract { detail: String },
    /// A call that changes something over there broke off after it was sent.
    #[error("{detail}")]
    UnknownOutcome { detail: String },
    /// The thing asked for does not exist over there.
    #[error("{detail}")]
    NotFound { detail: String },
}

impl Fault {
    pub fn transient(detail: impl Into<String>) -> Fault {
        Fault::Transient { detail: detail.into() }
    }

    /// An answer of a call that reads was larger than we take. The same call would bring it again, so it says nothing of
    /// the system's health; to ask for less may help.
    pub fn too_large(detail: impl Into<String>) -> Fault {
        Fault::Permanent(Refusal {
            reason: ANSWER_TOO_LARGE.to_owned(),
            field: None,
            value: None,
            detail: detail.into(),
        })
    }

    pub fn is_too_large(&self) -> bool {
        matches!(self, Fault::Permanent(refusal) if refusal.reason == ANSWER_TOO_LARGE)
    }

    pub fn contract(detail: impl Into<String>) -> Fault {
        Fault::Contract { detail: detail.into() }
    }

    pub fn cause(&self) -> Cause {
        match self {
            Fault::Transient { .. } | Fault::RateLimited { .. } | Fault::UnknownOutcome { .. } => Cause::Remote,
            Fault::Permanent(_) | Fault::NotFound { .. } => Cause::Data,
            Fault::Unauthenticated { .. } => Cause::Credential,
            Fault::Contract { .. } => Cause::Contract,
        }
    }

    /// The word that `kopru connector read` and the attempts table use.
    pub const fn class(&self) -> &'static str {
        match self {
            Fault::Transient { .. } => "transient",
            Fault::RateLimited { .. } => "rate_limited",
            Fault::Permanent(_) => "permanent",
            Fault::Unauthenticated { .. } => "unauthenticated",
            Fault::Contract { .. } => "contract",
            Fault::UnknownOutcome { .. } => "unknown_outcome",
            Fault::NotFound { .. } => "not_found",
        }
    }
}

//! Reading what was recorded of a system, without the system: an answer, a webhook's body, a file.

use bytes::Bytes;
use reqwest::StatusCode;

use crate::{connector::Format, fault::Fault, outbound::Answer};

/// Something that a connector reads: the answer of a call, a webhook, a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// `items`, `token` …; the name of its folder under `tests/fixtures/<kind>`.
    pub name: &'static str,
    /// For people: `GET items`.
    pub what: &'static str,
    /// The mapping that its records go through, when it brings any.
    pub mapping: Option<&'static str>,
}

/// An answer as it came over the wire, or a body or file by itself.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub operation: String,
    pub status: u16,
    pub content_type: Option<String>,
    pub body: Bytes,
}

/// What a connector makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// `None`: the operation brings no records.
    pub records: Option<ReadRecords>,
    /// What a person may want to know of it.
    pub notes: Vec<String>,
}

/// Records that would be handed to the mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecords {
    /// Decoded to UTF-8.
    pub body: Bytes,
    pub format: Format,
    pub rows: usize,
}

impl Recorded {
    /// The answer as the outbound stack would hand it over, with its limit of `longest` bytes. `call` names it in texts.
    pub fn answer(&self, call: &str, longest: usize) -> Result<Answer, Fault> {
        let status = StatusCode::from_u16(self.status)
            .map_err(|_| Fault::contract(format!("{call}: {} is no status of HTTP", self.status)))?;
        if self.body.len() > longest {
            return Err(Answer::too_large(call, longest));
        }
        Ok(Answer {
            status,
            content_type: self.content_type.clone(),
            retry_after: None,
            body: self.body.clone(),
            call: call.to_owned(),
        })
    }
}

//! Mappings: what a system writes becomes what the canonical model says, by rules that stand in TOML files.
//!
//! `mappings/<system>/<subject>.toml` is compiled when it is loaded; [`Mapping::map`] turns the bytes of a page into
//! [`crate::canonical::Change`]s. docs/mappings.md is the reference of the file format.
//!
//! Invariants
//! - Pure: no database, network or clock. Only [`Files`] touches the file system.
//! - The same bytes, mapping and overlay give the same changes and hashes, in every process.
//! - One bad record is rejected by itself, with the field, the rule and the value; it never hurts its neighbours.
//! - No input makes it panic, recurse without bound or expand (no DTD, no entities, bounded depth).
//! - Codes are never folded; numbers never pass through a float.
//!
//! Deliberately absent: what a code refers to, and whether it exists. The engine resolves references.

use std::fmt::Write;

mod cases;
mod code_tables;
mod compiled;
mod effective;
mod explain;
mod file;
mod memory;
mod outbound;
mod parts;
mod problem;
mod rule;
mod source;
pub mod stream;
#[cfg(test)]
mod tests;
mod value;

pub use cases::{CaseResult, run_cases};
pub use code_tables::BadAnswer;
pub use compiled::{Fault, Identity, Mapped, Mapping, Rejected};
pub use effective::Effective;
pub use explain::{Explained, ExplainedField, Fate};
pub use file::{Files, Library};
pub use memory::{Memory, Read, Recalled};
pub use outbound::{Outbound, Told};
pub use problem::Problem;
pub use rule::OnMissing;
pub use source::{Format, Unreadable};
pub use value::{Overlay, Reason, Unmapped, plain_code};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

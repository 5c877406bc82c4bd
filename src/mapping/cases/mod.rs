//! Golden cases: `<subject>.cases.toml` beside a mapping says what it makes of which record.
//!
//! Whatever a case says, each record of it is also taken out by itself and mapped again: the same must come out.

mod case;
mod compare;
mod made;
#[cfg(test)]
mod tests;

pub use case::{CaseResult, run_cases};

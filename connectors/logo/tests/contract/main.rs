//! The connector's side of the contract with LOGO.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod bad_answers;
mod fixtures;
mod passes;
mod sites;
mod support;

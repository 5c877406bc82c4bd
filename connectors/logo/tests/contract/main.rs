//! The connector's side of the contract with LOGO.

mod bad_answers;
mod fixtures;
mod passes;
mod support;

//! The command line: thin. A command opens the app, calls a room, prints what came back.
//!
//! Invariants
//! - Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted.
//! - Results go to standard output, everything else (logs, progress, errors) to standard error, so `--json` is clean.
//! - An error is one sentence that says what to do next.
//!
//! A new group of commands is one file here and one variant of `Command`.

mod actor;
mod api_key;
mod audit;
mod config;
mod connector;
mod dead_letters;
mod deliveries;
mod demo;
mod doctor;
mod failure;
mod files;
mod logging;
mod mapping;
mod mapping_list;
mod messages;
mod migrate;
mod openapi;
mod output;
mod password;
mod preview;
mod reconcile;
mod run;
mod sandbox;
mod serve;
mod sweeps;
mod sync;
mod timeline;
mod unmapped;
mod user;
mod webhook_endpoints;

pub use failure::Failure;
pub use run::main;

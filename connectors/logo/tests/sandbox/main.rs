//! The simulated LOGO over real sockets, behaviour by behaviour.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod changes;
mod connector;
mod documents;
mod journal;
mod lists;
mod orders;
mod queries;
mod returns;
mod support;
mod token;
mod world;
mod writes;

//! The HTTP shell over real sockets.

mod addresses;
mod bodies;
mod codes;
mod description;
mod examples;
mod idempotency;
mod keys;
mod limits;
mod shell;
mod site;

//! The HTTP shell over real sockets.

mod addresses;
mod bodies;
mod description;
mod idempotency;
mod keys;
mod limits;
mod shell;
mod site;

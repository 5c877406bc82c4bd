//! Webhooks out: endpoints and their secrets, calls over real sockets, bad receivers, replays.

mod catalogue;
mod endpoints;
mod office;
mod receivers;
mod replays;
mod routes;
mod sockets;

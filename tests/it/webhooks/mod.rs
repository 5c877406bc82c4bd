//! Webhooks out: endpoints and their secrets, calls over real sockets, bad receivers, replays.

mod endpoints;
mod office;
mod receivers;
mod replays;
mod sockets;

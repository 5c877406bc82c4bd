//! The outbound lane: routing, order, retries, the breaker, letters, crashes.

mod catch_up;
mod crash;
mod failing;
mod horizon;
mod mails;
mod order;
mod plans;
mod routing;

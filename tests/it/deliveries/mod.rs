//! The outbound lane: routing, order, retries, the breaker, letters, crashes.

mod crash;
mod failing;
mod mails;
mod order;
mod routing;

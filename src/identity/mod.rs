//! Who calls: API keys, what they may do, how they were used, and the answers that a repeated request gets again.
//!
//! Invariants
//! - A key is stored as a hash only and compared in constant time; its text is shown once, when it is made.
//! - An unknown key and a wrong secret are the same refusal. Why a key is refused is told only to who holds it.
//! - Creating and revoking write audit rows in their own transaction; uses, refused ones too, are counted per key, route,
//!   address and minute, off the request's path.
//! - A revocation holds in every daemon after [`api_keys::FRESH`] at the latest.
//!
//! Deliberately absent: headers, status codes, rate limits. Those are the web server's.

pub mod api_keys;
pub mod idempotency;
pub mod trim;
pub mod uses;

//! Who calls: people and API keys, what they may do, how keys were used, and the answers that a repeated request gets again.
//!
//! | module | subject |
//! | --- | --- |
//! | [`people`] | signing in, staying signed in, signing out |
//! | [`users`] | the people themselves |
//! | [`email`], [`passwords`], `lockout` | one spelling of an address; hashing; waits after failures |
//! | [`registrations`] | companies that want to become dealers |
//! | [`links`] | single-use links of mails |
//! | [`tokens`], [`sessions`] | access tokens and their keys; refresh tokens and their families |
//! | [`api_keys`], [`uses`] | keys of machines, and how they were used |
//! | [`idempotency`], [`trim`] | kept answers; what is old goes |
//!
//! Invariants
//! - A key is stored as a hash only and compared in constant time; its text is shown once, when it is made.
//! - An unknown key and a wrong secret are the same refusal. Why a key is refused is told only to who holds it.
//! - Creating and revoking write audit rows in their own transaction; uses, refused ones too, are counted per key, route,
//!   address and minute, off the request's path.
//! - A refresh token is stored as a hash and works once; shown a second time, it ends its session.
//! - A password is stored as its Argon2id hash only. Strangers do not learn whether an address has an account.
//! - A revocation holds in every daemon after [`api_keys::FRESH`] at the latest.
//!
//! Deliberately absent: headers, status codes, rate limits. Those are the web server's.

pub mod api_keys;
pub mod email;
pub mod idempotency;
pub mod links;
mod lockout;
pub mod passwords;
pub mod people;
pub mod registrations;
pub mod sessions;
pub mod tokens;
pub mod trim;
pub mod users;
pub mod uses;

//! Sessions: one sign-in on one device. A session is the family of its refresh tokens, of which one is unused.
//!
//! Invariants
//! - A refresh token is good once. Who shows one again, or one that somebody else has used, ends the session for both.
//! - What a signed-in person may do is read from the store at most every [`FRESH`]: a session that was revoked, a user who was
//!   disabled, a changed role or password end or change every access token within that time, in every daemon.

mod family;
mod list;
mod ring;

pub(super) use family::{Device, Opened, Spent, end_by_token, open, reissue, renew};
pub use family::{REFRESH_LIFE, Reason};
pub use family::{end, end_all};
pub use list::{ListError, Session, list};
pub use ring::FRESH;
pub(super) use ring::SessionRing;

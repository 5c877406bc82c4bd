//! Access tokens (JWT, EdDSA), the keys that sign them, and refresh tokens (random, known by their hash).
//!
//! Invariants
//! - One algorithm: a token of any other, or of none, is nobody's.
//! - A token names its key (`kid`); the newest key signs, older ones verify what they signed until it has expired.
//! - What a token's holder may do is not in the token: it is read from the store, see [`super::sessions`].

mod access;
mod file;
mod keys;
mod opaque;
mod store;

pub use access::{ACCESS_LIFE, AccessClaims, TokenRefusal};
pub use keys::{KeyProblem, KeySource, RotateError, SigningKeys};
pub use opaque::SecretText;
pub(super) use opaque::{fresh, hash_of};
pub use store::rotate;

//! Passwords: what a good one is, how it is kept (Argon2id), and how many are worked on at once.
//!
//! Invariants
//! - At most as many hashes are computed at a time as there are cores; who waits too long is told so.
//! - Verifying takes the same time whether there is a hash to compare with or not.
//! - A password is never logged, shown or stored but as its hash.

use std::{fmt, sync::Arc, time::Duration};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::email::Email;

const SHORTEST: usize = 8;
const LONGEST: usize = 256;
/// How long somebody waits for a core before they are sent away.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of no password: the same work as for any other hash.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5cyBzYWx0IGhlcmU$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password as somebody typed it.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    pub fn new(text: impl Into<String>) -> Password {
        Password(text.into())
    }

    /// The rules for a new one. `Err` says which is broken.
    pub fn check(&self, email: &Email) -> Result<(), BadPassword> {
        let length = self.0.chars().count();
        if length < SHORTEST {
            return Err(BadPassword::Short);
        }
        if length > LONGEST {
            return Err(BadPassword::Long);
        }
        let has = |of: fn(char) -> bool| self.0.chars().any(of);
        if !(has(char::is_uppercase) && has(char::is_lowercase) && has(|letter| letter.is_ascii_digit())) {
            return Err(BadPassword::Simple);
        }
        let (typed, email) = (self.0.to_ascii_lowercase(), email.as_str());
        let name = email.split('@').next().unwrap_or_default();
        if typed.contains(email) || (name.len() >= 4 && typed.trim_end_matches(|l: char| !l.is_alphabetic()) == name) {
            return Err(BadPassword::Known);
        }
        Ok(())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

/// Which rule a new password breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    #[error("a password has at least {SHORTEST} characters")]
    Short,
    #[error("a password has at most {LONGEST} characters")]
    Long,
    #[error("a password has a capital letter, a small letter and a digit")]
    Simple,
    #[error("a password must not be the e-mail address")]
    Known,
}

impl BadPassword {
    pub const fn code(self) -> &'static str {
        match self {
            BadPassword::Short => "too_short",
            BadPassword::Long => "too_long",
            BadPassword::Simple => "too_simple",
            BadPassword::Known => "too_obvious",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("too many people sign in at the moment")]
    Busy,
    #[error("a password cannot be hashed: {0}")]
    Hash(String),
}

/// The cores that hash.
#[derive(Debug, Clone)]
pub struct Passwords(Arc<Semaphore>);

/// Leave to hash, until it is dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Default for Passwords {
    fn default() -> Passwords {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Passwords(Arc::new(Semaphore::new(cores)))
    }
}

impl Passwords {
    pub async fn turn(&self) -> Result<Turn, PasswordError> {
        let permit = tokio::time::timeout(PATIENCE, Arc::clone(&self.0).acquire_owned()).await;
        permit.ok().and_then(Result::ok).map(Turn).ok_or(PasswordError::Busy)
    }

    /// What is stored of a password.
    pub async fn hash(&self, password: &Password) -> Result<String, PasswordError> {
        let turn = self.turn().await?;
        let password = password.clone();
        work(move || {
            let hash: PasswordHash = Argon2::default()
                .hash_password(password.0.as_bytes())
                .map_err(|e| PasswordError::Hash(e.to_string()))?;
            drop(turn);
            Ok(hash.to_string())
        })
        .await?
    }

    /// Whether the password is the one of this hash. Without a hash it is not, after the same work.
    pub async fn verify(_turn: &Turn, password: &Password, hash: Option<String>) -> Result<bool, PasswordError> {
        let password = password.clone();
        work(move || {
            let known = hash.is_some() && password.0.chars().count() <= LONGEST;
            let typed = if known { password.0.as_bytes() } else { b"nobody" };
            let hash = hash.filter(|_| known);
            Argon2::default().verify_password(typed, hash.as_deref().unwrap_or(NOBODYS)).is_ok() && known
        })
        .await
    }
}

async fn work<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
    tokio::task::spawn_blocking(job).await.map_err(|error| PasswordError::Hash(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(password: &str) -> Result<(), BadPassword> {
        Password::new(password).check(&Email::parse("ayse@firma.com").expect("an address"))
    }

    #[test]
    fn a_password_is_neither_short_nor_simple_nor_endless() {
        for good in ["Kopru2026", "Şifre123", "aB3 şçğü💡", &format!("aB3{}", "x".repeat(253))] {
            assert_eq!(judged(good), Ok(()), "{good}");
        }
        for (bad, rule) in [
            ("", BadPassword::Short),
            ("Ab3456", BadPassword::Short),
            ("kopru2026", BadPassword::Simple),
            ("KOPRU2026", BadPassword::Simple),
            ("Koprukopru", BadPassword::Simple),
            ("Ayse@firma.com1", BadPassword::Known),
            ("Ayse12345", BadPassword::Known),
        ] {
            assert_eq!(judged(bad), Err(rule), "{bad}");
        }
        assert_eq!(judged(&"aB3".repeat(4_000)), Err(BadPassword::Long));
    }

    #[tokio::test]
    async fn a_hash_knows_its_password_and_no_other() {
        let passwords = Passwords::default();
        let hash = passwords.hash(&Password::new("Kopru2026")).await.expect("a hash");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let turn = passwords.turn().await.expect("a turn");
        let verify = async |password: &str, hash: Option<String>| {
            Passwords::verify(&turn, &Password::new(password), hash).await.expect("verified")
        };
        assert!(verify("Kopru2026", Some(hash.clone())).await);
        assert!(!verify("Kopru2027", Some(hash.clone())).await);
        assert!(!verify(&"x".repeat(10_000), Some(hash)).await);
        assert!(!verify("nobody", None).await);
    }

    #[test]
    fn nobodys_hash_is_as_much_work_as_any() {
        assert!(PasswordHash::new(NOBODYS).is_ok());
        assert!(NOBODYS.contains("m=19456,t=2,p=1"));
    }

    #[test]
    fn a_password_does_not_show_itself() {
        assert_eq!(format!("{:?}", Password::new("Kopru2026")), "Password(***)");
    }
}

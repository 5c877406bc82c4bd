//! Secrets that mean something to the store alone: a mark, then 256 random bits in base64url. Stored as their SHA-256.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::RngExt;
use sha2::{Digest, Sha256};

/// A secret as its holder knows it. It never shows itself but by [`SecretText::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// For whoever hands it to its holder.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(***)")
    }
}

/// A new one, and what is stored of it.
pub fn fresh(mark: &str) -> (SecretText, [u8; 32]) {
    let secret: [u8; 32] = rand::rng().random();
    (SecretText(format!("{mark}{}", URL_SAFE_NO_PAD.encode(secret))), Sha256::digest(secret).into())
}

/// What would be stored of a secret that somebody shows. `None`: not of this mark and form.
pub fn hash_of(mark: &str, text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let length = URL_SAFE_NO_PAD.decode_slice(text.trim().strip_prefix(mark)?, &mut bytes).ok()?;
    (length == bytes.len()).then(|| Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_hash() {
        let (text, hash) = fresh("krt_");
        assert_eq!(hash_of("krt_", text.expose()), Some(hash));
        for bad in ["", "krt_", "krt_AAAA", &text.expose()[4..], &format!("{}A", text.expose()), "krt_ş", "krt_\0"] {
            assert_eq!(hash_of("krt_", bad), None, "{bad}");
        }
        assert!(!format!("{text:?}").contains(&text.expose()[4..]));
    }
}

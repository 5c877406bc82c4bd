//! The text of a key: `kpr_<prefix>_<base64url of 256 random bits>`.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::RngExt;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const MARK: &str = "kpr_";
const PREFIX_LENGTH: usize = 8;
const PREFIX_LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A key as its holder knows it. It never shows itself but by [`KeyText::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

impl KeyText {
    /// For whoever hands it to its holder.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(***)")
    }
}

pub(super) struct Fresh {
    pub text: KeyText,
    pub prefix: String,
    pub hash: [u8; 32],
}

/// A new key.
pub(super) fn fresh() -> Fresh {
    let mut random = rand::rng();
    let prefix: String =
        (0..PREFIX_LENGTH).map(|_| char::from(PREFIX_LETTERS[random.random_range(0..PREFIX_LETTERS.len())])).collect();
    let secret: [u8; 32] = random.random();
    let text = KeyText(format!("{MARK}{prefix}_{}", URL_SAFE_NO_PAD.encode(secret)));
    Fresh { text, prefix, hash: Sha256::digest(secret).into() }
}

/// A key that somebody showed: whom it claims to be, and the hash to prove it.
pub(super) struct Shown<'a> {
    pub prefix: &'a str,
    pub hash: [u8; 32],
}

/// `None`: not the text of any key.
pub(super) fn read(text: &str) -> Option<Shown<'_>> {
    let (prefix, secret) = text.strip_prefix(MARK)?.split_once('_')?;
    if prefix.len() != PREFIX_LENGTH || !prefix.bytes().all(|byte| PREFIX_LETTERS.contains(&byte)) {
        return None;
    }
    let mut bytes = [0; 32];
    let length = URL_SAFE_NO_PAD.decode_slice(secret, &mut bytes).ok()?;
    (length == bytes.len()).then(|| Shown { prefix, hash: Sha256::digest(bytes).into() })
}

/// In a time that does not tell how much of them is equal.
pub(super) fn equal(one: &[u8], two: &[u8]) -> bool {
    one.ct_eq(two).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_and_nothing_like_it_is() {
        let key = fresh();
        let shown = read(key.text.expose()).expect("its own text");
        assert_eq!((shown.prefix, shown.hash), (key.prefix.as_str(), key.hash));
        let text = key.text.expose();
        let shorter = &text[..text.len() - 1];
        for bad in [
            "",
            "kpr_",
            "kpr__",
            &text[1..],
            shorter,
            &format!("{text}A"),
            &text.to_uppercase(),
            &text.replace("kpr_", "kpr_ş"),
        ] {
            assert!(read(bad).is_none(), "{bad}");
        }
        assert_ne!(fresh().hash, key.hash);
    }

    #[test]
    fn a_key_does_not_show_itself() {
        let key = fresh();
        assert!(!format!("{:?}", key.text).contains(&key.prefix));
    }

    #[test]
    fn equality_is_of_all_bytes() {
        assert!(equal(&[1; 32], &[1; 32]));
        let mut other = [1; 32];
        other[31] = 2;
        assert!(!equal(&[1; 32], &other));
        assert!(!equal(&[1; 32], &[1; 31]));
    }
}

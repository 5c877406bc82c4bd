//! E-mail addresses in one spelling.
//!
//! An address is ASCII in lower case, so that no two that look alike are two accounts. What a Turkish keyboard makes of `i`
//! and `I` is taken for the ASCII letter. Mail goes to the stored spelling, never to the typed one.

use std::fmt;

use sha2::{Digest, Sha256};

const LONGEST: usize = 254;
const LONGEST_LOCAL: usize = 64;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Email(String);

impl Email {
    /// `None`: not an address that we take.
    pub fn parse(text: &str) -> Option<Email> {
        let mut folded = String::with_capacity(text.len());
        for letter in text.trim().chars() {
            match letter {
                'İ' | 'ı' => folded.push('i'),
                // The dot that stays when `İ` was written in two code points.
                '\u{307}' if folded.ends_with('i') => {}
                letter => folded.push(letter.to_ascii_lowercase()),
            }
            if folded.len() > LONGEST {
                return None;
            }
        }
        let (local, domain) = folded.rsplit_once('@')?;
        let dotted = |part: &str| part.split('.').all(|piece| !piece.is_empty());
        let of_local = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
        let of_domain = |label: &str| {
            label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let good = !local.is_empty()
            && local.len() <= LONGEST_LOCAL
            && local.bytes().all(of_local)
            && dotted(local)
            && dotted(domain)
            && domain.contains('.')
            && domain.split('.').all(of_domain);
        good.then_some(Email(folded))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Under which failed sign-ins are counted, whether or not there is such an account.
    pub(super) fn account(&self) -> [u8; 32] {
        account(&self.0)
    }
}

/// The same for a text that is no address.
pub(super) fn account(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Personal data: shown by [`Email::as_str`] alone.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spelled(text: &str) -> Option<String> {
        Email::parse(text).map(|email| email.as_str().to_owned())
    }

    #[test]
    fn one_address_has_one_spelling() {
        for text in [
            "info@firma.com.tr",
            " INFO@Firma.com.TR ",
            "İNFO@FİRMA.COM.TR",
            "ınfo@fırma.com.tr",
            "I\u{307}nfo@firma.com.tr",
        ] {
            assert_eq!(spelled(text).as_deref(), Some("info@firma.com.tr"), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "@",
            "a@",
            "@b.c",
            "a@b",
            "a b@c.de",
            "a@b..de",
            ".a@b.de",
            "a@-b.de",
            "a\0@b.de",
            "çelik@firma.com",
            "a@b.de\r\nBcc: x@y.zz",
            "<a@b.de>",
            "аdmin@firma.com",
        ] {
            assert_eq!(spelled(text), None, "{text:?}");
        }
        assert_eq!(spelled(&format!("{}@b.de", "a".repeat(65))), None);
        assert_eq!(spelled(&format!("a@{}.de", "b.".repeat(5_000))), None);
    }

    proptest! {
        #[test]
        fn a_spelling_is_its_own_spelling(text in "\\PC{0,20}@\\PC{1,10}\\.[a-zA-Zİı]{2}") {
            if let Some(once) = spelled(&text) {
                prop_assert!(once.is_ascii());
                prop_assert_eq!(spelled(&once), Some(once));
            }
        }
    }
}

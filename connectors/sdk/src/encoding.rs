//! Turkish code pages, in and out.
//!
//! Reading: a byte order mark wins over what was declared; a declared ISO-8859-9 is read by the windows-1254 table, of
//! which it is a part, because Windows programs declare the one and write the other. Undeclared text is UTF-8, and a
//! byte that is not is named, never replaced: a replaced letter in a code would be another code.
//!
//! Writing: ISO-8859-9. Typographic characters have plain replacements, whatever else does not fit becomes `?`.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1254};

/// A byte that is not text in the encoding that was declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte 0x{byte:02X} at offset {offset} is not {charset}")]
pub struct BadByte {
    pub byte: u8,
    pub offset: usize,
    pub charset: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    #[error(transparent)]
    Byte(#[from] BadByte),
    #[error("the declared charset `{0}` is unknown")]
    Charset(String),
}

/// Text from bytes. `declared` is the name of a charset as a header or an XML declaration gives it.
pub fn decode<'a>(bytes: &'a [u8], declared: Option<&str>) -> Result<Cow<'a, str>, Undecodable> {
    let (encoding, start) = match (Encoding::for_bom(bytes), declared) {
        (Some((encoding, length)), _) => (encoding, length),
        (None, None) => (UTF_8, 0),
        (None, Some(label)) => {
            let encoding = Encoding::for_label(label.trim().as_bytes())
                .ok_or_else(|| Undecodable::Charset(label.trim().chars().take(40).collect()))?;
            (encoding, 0)
        }
    };
    let text = &bytes[start..];
    if encoding == UTF_8 {
        return std::str::from_utf8(text)
            .map(Cow::Borrowed)
            .map_err(|error| bad_byte(bytes, start + error.valid_up_to()));
    }
    encoding.decode_without_bom_handling_and_without_replacement(text).ok_or_else(|| {
        Undecodable::Byte(BadByte { byte: text.first().copied().unwrap_or(0), offset: start, charset: encoding.name() })
    })
}

fn bad_byte(bytes: &[u8], offset: usize) -> Undecodable {
    Undecodable::Byte(BadByte { byte: bytes.get(offset).copied().unwrap_or(0), offset, charset: "UTF-8" })
}

/// The bytes of one character in ISO-8859-9, or of its replacement.
fn encoded(character: char) -> Cow<'static, [u8]> {
    let replacement: &'static [u8] = match character {
        '\u{2026}' => b"...",
        '\u{2018}' | '\u{2019}' | '\u{201A}' | '\u{2032}' => b"'",
        '\u{201C}' | '\u{201D}' | '\u{201E}' | '\u{2033}' => b"\"",
        '\u{2010}'..='\u{2015}' | '\u{2212}' => b"-",
        '\u{2022}' => b"*",
        '\u{20AC}' => b"EUR",
        '\u{20BA}' => b"TL",
        '\u{2122}' => b"(TM)",
        '\u{2002}'..='\u{200A}' | '\u{202F}' => b" ",
        '\u{200B}'..='\u{200D}' | '\u{FEFF}' => b"",
        _ => {
            let mut utf8 = [0; 4];
            let (bytes, _, unmappable) = WINDOWS_1254.encode(character.encode_utf8(&mut utf8));
            return match bytes.as_ref() {
                // The range in which windows-1254 has characters that ISO-8859-9 lacks.
                [0x80..=0x9F] => Cow::Borrowed(b"?"),
                [_] if !unmappable => Cow::Owned(bytes.into_owned()),
                _ => Cow::Borrowed(b"?"),
            };
        }
    };
    Cow::Borrowed(replacement)
}

/// ISO-8859-9 bytes; what does not fit is replaced.
pub fn encode_iso_8859_9(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        bytes.extend_from_slice(&encoded(character));
    }
    bytes
}

/// The longest beginning of `text` that takes at most `limit` bytes in ISO-8859-9, cut between characters.
pub fn cut_iso_8859_9(text: &str, limit: usize) -> &str {
    let mut taken = 0;
    for (place, character) in text.char_indices() {
        taken += encoded(character).len();
        if taken > limit {
            return &text[..place];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANGRAM: &str = "Pijamalı hasta, yağız şoföre çabucak güvendi. ĞÜŞİÖÇ";

    #[test]
    fn a_declared_iso_8859_9_is_read_by_the_windows_table() {
        let bytes = encode_iso_8859_9(PANGRAM);
        assert_eq!(bytes.len(), PANGRAM.chars().count());
        assert_eq!(decode(&bytes, Some("ISO-8859-9")).unwrap(), PANGRAM);
        assert_eq!(decode(&bytes, Some("windows-1254")).unwrap(), PANGRAM);
        assert_eq!(decode(b"\x93tamam\x94\x85", Some("iso-8859-9")).unwrap(), "“tamam”…");
    }

    #[test]
    fn a_byte_order_mark_wins() {
        let mut bytes = vec![0xEF, 0xBB, 0xBF];
        bytes.extend_from_slice(PANGRAM.as_bytes());
        assert_eq!(decode(&bytes, Some("ISO-8859-9")).unwrap(), PANGRAM);
        assert_eq!(decode(b"\xFF\xFE\x1F\x01", None).unwrap(), "ğ");
    }

    #[test]
    fn undeclared_bytes_are_utf_8_or_named() {
        assert_eq!(decode(PANGRAM.as_bytes(), None).unwrap(), PANGRAM);
        let error = decode(b"Yal\xFDn", None).unwrap_err();
        assert_eq!(error.to_string(), "byte 0xFD at offset 3 is not UTF-8");
        assert_eq!(decode(b"x", Some("klingon")).unwrap_err().to_string(), "the declared charset `klingon` is unknown");
    }

    #[test]
    fn what_does_not_fit_is_replaced() {
        assert_eq!(encode_iso_8859_9("“a”…–€₺™ š 漢"), b"\"a\"...-EURTL(TM) ? ?");
        assert_eq!(encode_iso_8859_9("\u{200B}x"), b"x");
    }

    #[test]
    fn texts_are_cut_by_encoded_bytes_between_characters() {
        assert_eq!(cut_iso_8859_9("ğüşiöç", 3), "ğüş");
        assert_eq!(cut_iso_8859_9("ab…", 4), "ab");
        assert_eq!(cut_iso_8859_9("ab…", 5), "ab…");
        assert_eq!(cut_iso_8859_9("", 0), "");
    }
}

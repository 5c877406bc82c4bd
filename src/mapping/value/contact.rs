//! Telephone numbers and e-mail addresses as people type them.

use std::borrow::Cow;

use super::transform::slice;

/// A Turkish number to E.164; one of another country keeps its own code. An extension is no part of the number. What is
/// not one whole number beyond doubt is left as it was written: a wrong number is worth more to a person than none.
pub(super) fn phone(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if text.bytes().all(|byte| !matches!(byte, b'1'..=b'9')) {
        return None;
    }
    Some(match whole_number(text.trim()) {
        Some(number) => Cow::Owned(number),
        None => slice(text, str::trim),
    })
}

fn whole_number(written: &str) -> Option<String> {
    let start = written.find(|c: char| c == '+' || c.is_ascii_digit())?;
    let (label, rest) = written.split_at(start);
    let foreign = rest.starts_with('+');
    if label.contains(['/', ',', ';']) {
        return None;
    }
    let mut digits = String::with_capacity(16);
    for (at, c) in rest.char_indices() {
        match c {
            '0'..='9' => digits.push(c),
            '+' if at == 0 => {}
            '(' | ')' | '[' | ']' | '-' | '\u{2013}' | '.' | '_' => {}
            // Between an area code and its number, or between two numbers: behind a whole number nothing counts.
            '/' | '\\' | ',' | ';' | '#' => {
                if let Some(number) = e164(&digits, foreign) {
                    return Some(number);
                }
            }
            c if c.is_whitespace() => {}
            _ if begins_an_extension(&rest[at..]) => break,
            _ => return None,
        }
    }
    e164(&digits, foreign)
}

/// `dahili 5`, `Dah.: 5`, `iç hat 5`, `ext 5`, `x5`.
fn begins_an_extension(text: &str) -> bool {
    const MARKS: [&str; 8] = ["dahili", "dah", "ic hat", "ichat", "ic", "extension", "ext", "x"];
    let folded: String = text
        .chars()
        .take(16)
        .flat_map(char::to_lowercase)
        .filter(|c| *c != '\u{307}')
        .map(|c| match c {
            'ı' => 'i',
            'ç' => 'c',
            c => c,
        })
        .collect();
    MARKS.iter().any(|mark| folded.strip_prefix(mark).is_some_and(|rest| !rest.starts_with(char::is_alphabetic)))
}

fn e164(digits: &str, foreign: bool) -> Option<String> {
    let foreign = foreign || digits.starts_with("00");
    let bare = if foreign { digits.trim_start_matches("00") } else { digits };
    let national = match bare.strip_prefix("90") {
        Some(national) if bare.len() == 12 => Some(national),
        Some(national) if bare.len() == 13 => national.strip_prefix('0'),
        // Türkiye's numbers have one length.
        Some(_) if foreign => None,
        _ if foreign => return (8..=15).contains(&bare.len()).then(|| format!("+{bare}")),
        _ if bare.len() == 11 => bare.strip_prefix('0'),
        _ if bare.len() == 10 && !bare.starts_with('0') => Some(bare),
        _ => None,
    };
    national.map(|national| format!("+90{national}"))
}

/// An address as it can be written to; any other text is none.
pub(super) fn email(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    is_address(text.trim()).then(|| slice(text, str::trim))
}

fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || "@,;:<>()[]\\\"".contains(c);
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    !local.is_empty()
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && !local.contains(forbidden)
        && domain.contains('.')
        && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn phones() {
        for (given, want) in [
            ("216 5550187", Some("+902165550187")),
            ("0(216) 555 01 87", Some("+902165550187")),
            ("0216/555 01 87", Some("+902165550187")),
            ("Tel: 0216 555 01 87", Some("+902165550187")),
            ("+90 532 000 00 42", Some("+905320000042")),
            ("+90 (0216) 555 01 87", Some("+902165550187")),
            ("00905320000042", Some("+905320000042")),
            ("905320000042", Some("+905320000042")),
            ("5320000042", Some("+905320000042")),
            ("+49 30 1234567", Some("+49301234567")),
            ("444 0 555", Some("444 0 555")),
            ("+90 212 555", Some("+90 212 555")),
            ("0000000", None),
            ("yok", None),
        ] {
            assert_eq!(phone(given.into()).as_deref(), want, "{given}");
        }
    }

    #[test]
    fn an_extension_is_no_part_of_a_number() {
        for text in [
            "+90 (212) 555 00 00 dahili 5",
            "0212 555 00 00 DAHİLİ:5",
            "0212 555 00 00 (Dah. 12)",
            "0212 555 00 00 ext. 5",
            "0212 555 00 00 x5",
            "0212 555 00 00 iç hat 5",
            "0212 555 00 00 IC HAT 5",
            "0212 555 00 00/01",
            "0212 555 00 00 / 0532 111 22 33",
            "+90 212/555 00 00, 5",
            "0212 555 00 00 #5",
        ] {
            assert_eq!(phone(text.into()).as_deref(), Some("+902125550000"), "{text}");
        }
        // In doubt nothing is changed.
        for text in
            ["0212 555 00 00 5", "0212 555 00 Ali 00", "555 00 00 dahili 5", "+90 (212) 555 00 00 5", "5 dahili"]
        {
            assert_eq!(phone(text.into()).as_deref(), Some(text));
        }
    }

    #[test]
    fn emails() {
        for text in ["a@b.co", " satinalma@yildizhan.example ", "ad.soyad+b2b@alt.firma-x.com.tr", "ışık@örnek.com"]
        {
            assert_eq!(email(text.into()).as_deref(), Some(text.trim()));
        }
        for text in [
            "",
            "not-an-email",
            "a@b",
            "@b.co",
            "a@",
            "a b@c.co",
            "a@b..co",
            "a@.co",
            "a@b.co.",
            "a@b.co;c@d.co",
            "yok",
            "a@@b.co",
            "Ali <a@b.co>",
            "a..b@c.co",
            "www.firma.com.tr",
        ] {
            assert_eq!(email(text.into()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_became_a_number_stays_it(text in "[+0-9 ()./x-]{0,24}") {
            if let Some(number) = phone(text.as_str().into()) {
                let again = phone(number.clone());
                prop_assert_eq!(again, Some(number));
            }
        }
    }
}

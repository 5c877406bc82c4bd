//! Telephone numbers to E.164.

/// `+90…` for a number as it is written in Türkiye (`0 (216) 555 01 87`, `5325550187`, `0090…`, `444 0 123`), `+…` for
/// one written internationally. `None` where the text is not one whole number: no area code, two numbers, an extension.
pub fn to_e164(text: &str) -> Option<String> {
    let text = text.trim();
    let (international, rest) = match text.strip_prefix('+').or_else(|| text.strip_prefix("00")) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut number = String::with_capacity(16);
    for letter in rest.chars() {
        match letter {
            '0'..='9' => number.push(letter),
            ' ' | '\u{a0}' | '(' | ')' | '-' | '.' | '/' => {}
            _ => return None,
        }
    }
    if international {
        return match number.strip_prefix("90") {
            Some(national) => turkish(national.strip_prefix('0').unwrap_or(national)),
            None => ((8..=15).contains(&number.len()) && !number.starts_with('0')).then(|| format!("+{number}")),
        };
    }
    turkish(match number.len() {
        11 => number.strip_prefix('0')?,
        12 => number.strip_prefix("90")?,
        _ => &number,
    })
}

/// Area or operator code and seven digits, or the seven of a 444 number.
fn turkish(national: &str) -> Option<String> {
    let whole = match national.len() {
        10 => matches!(national.as_bytes()[0], b'2'..=b'5' | b'8' | b'9'),
        7 => national.starts_with("444"),
        _ => false,
    };
    whole.then(|| format!("+90{national}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings() {
        for text in [
            "0216 555 01 87",
            "0 (216) 555-01-87",
            "2165550187",
            "+90 216 555 0187",
            "00902165550187",
            "90 216 5550187",
            "+90 (0216) 555 01 87",
        ] {
            assert_eq!(to_e164(text).as_deref(), Some("+902165550187"), "{text:?}");
        }
        assert_eq!(to_e164("444 0 123").as_deref(), Some("+904440123"));
        assert_eq!(to_e164("+49 30 901820").as_deref(), Some("+4930901820"));
    }

    #[test]
    fn no_number_or_more_than_one() {
        for text in ["", "5550187", "0216 555 01 87/88", "0216 555 01 87 dahili 3", "yok", "0", "+", "1165550187"] {
            assert_eq!(to_e164(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_answer_is_its_own_answer(text in "[+0-9 ()./-]{0,20}") {
            if let Some(number) = to_e164(&text) {
                prop_assert_eq!(to_e164(&number), Some(number));
            }
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,24}") {
            let _ = to_e164(&text);
        }
    }
}

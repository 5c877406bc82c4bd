//! IBAN: form and check digits.

/// Blanks are allowed between groups. A Turkish one has 26 places: bank (5 digits), a reserved 0, account (16).
pub fn is_iban(text: &str) -> bool {
    let compact: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').map(|byte| byte.to_ascii_uppercase()).collect();
    let [country @ .., _, _] = compact.get(..4).unwrap_or_default() else { return false };
    let (Some(check), Some(account)) = (compact.get(2..4), compact.get(4..)) else { return false };
    let formed = compact.len() <= 34
        && country.len() == 2
        && country.iter().all(u8::is_ascii_uppercase)
        && check.iter().all(u8::is_ascii_digit)
        && (11..=30).contains(&account.len())
        && account.iter().all(u8::is_ascii_alphanumeric);
    let turkish =
        country != b"TR" || (account.len() == 22 && account[..6].iter().all(u8::is_ascii_digit) && account[5] == b'0');
    formed && turkish && remainder(account.iter().chain(country).chain(check)) == 1
}

/// Of the number that the letters (A = 10 … Z = 35) and digits spell, by 97.
fn remainder<'a>(places: impl Iterator<Item = &'a u8>) -> u32 {
    places.fold(0, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte.saturating_sub(b'A')) + 10) % 97,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_check(account: &str) -> String {
        let rest = remainder(account.as_bytes().iter().chain(b"TR00"));
        format!("TR{:02}{account}", 98 - rest)
    }

    #[test]
    fn known_numbers() {
        assert!(is_iban("TR33 0006 1005 1978 6457 8413 26"));
        assert!(is_iban("tr330006100519786457841326"));
        assert!(is_iban("GB82 WEST 1234 5698 7654 32"));
        for wrong in
            ["", "TR", "TR33", "TR330006100519786457841327", "TR33000610051978645784132", "33TR0006100519786457841326"]
        {
            assert!(!is_iban(wrong), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn one_changed_digit_is_seen(bank in "[0-9]{5}", account in "[0-9]{16}", place in 4_usize..9, shift in 1_u8..10) {
            let whole = with_check(&format!("{bank}0{account}"));
            prop_assert!(is_iban(&whole));
            let mut bytes = whole.into_bytes();
            bytes[place] = b'0' + (bytes[place] - b'0' + shift) % 10;
            prop_assert!(!is_iban(std::str::from_utf8(&bytes).expect("ASCII")));
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,40}") {
            let _ = is_iban(&text);
        }
    }
}

//! VKN (tax number of companies, 10 digits) and TCKN (identity number of persons, 11 digits).

fn digits<const N: usize>(text: &str) -> Option<[u32; N]> {
    let bytes: &[u8; N] = text.as_bytes().try_into().ok()?;
    bytes.iter().all(u8::is_ascii_digit).then(|| bytes.map(|byte| u32::from(byte - b'0')))
}

pub fn is_vkn(text: &str) -> bool {
    let Some(number) = digits::<10>(text) else { return false };
    let sum: u32 = (0..9_u32)
        .zip(number)
        .map(|(place, digit)| match (digit + 9 - place) % 10 {
            9 => 9,
            shifted => (shifted << (9 - place)) % 9,
        })
        .sum();
    number[9] == (10 - sum % 10) % 10
}

pub fn is_tckn(text: &str) -> bool {
    let Some(n) = digits::<11>(text) else { return false };
    let odd = n[0] + n[2] + n[4] + n[6] + n[8];
    let even = n[1] + n[3] + n[5] + n[7];
    // 7 × odd − even, kept above zero.
    n[0] != 0 && n[9] == (odd * 7 + 40 - even) % 10 && n[10] == (odd + even + n[9]) % 10
}

/// A VKN or a TCKN; ERP cards hold either in the same field.
pub fn is_tax_number(text: &str) -> bool {
    is_vkn(text) || is_tckn(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_numbers() {
        assert!(is_tckn("10000000146"));
        assert!(!is_tckn("10000000147"));
        assert!(!is_tckn("01000000146"), "never begins with 0");
        assert!(is_vkn("9900000011"), "the sample card of the LOGO connector's sandbox");
        assert!(!is_vkn("9900000012"));
        for wrong in ["", "123", "12345678901234", "99000000 1", "９９０００００１１１"] {
            assert!(!is_tax_number(wrong), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn nine_digits_have_exactly_one_vkn(head in "[0-9]{9}") {
            prop_assert_eq!((0..10).filter(|last| is_vkn(&format!("{head}{last}"))).count(), 1);
        }

        #[test]
        fn nine_digits_have_exactly_one_tckn(head in "[1-9][0-9]{8}") {
            prop_assert_eq!((0..100).filter(|tail| is_tckn(&format!("{head}{tail:02}"))).count(), 1);
        }

        #[test]
        fn one_wrong_digit_is_seen_in_a_tckn(head in "[1-9][0-9]{8}", place in 0_usize..9, shift in 1_u8..10) {
            let tail = (0..100).find(|tail| is_tckn(&format!("{head}{tail:02}"))).expect("there is one");
            let mut number = format!("{head}{tail:02}").into_bytes();
            number[place] = b'0' + (number[place] - b'0' + shift) % 10;
            prop_assert!(!is_tckn(std::str::from_utf8(&number).expect("digits")));
        }
    }
}

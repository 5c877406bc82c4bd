//! Numbers with a check digit, built from the digits before it.

/// A company's ten-digit tax number from its first nine digits.
pub fn vkn(first: u64) -> u64 {
    let mut sum = 0;
    for place in 1..=9_u32 {
        let digit = first / 10_u64.pow(9 - place) % 10;
        let turned = (digit + 10 - u64::from(place)) % 10;
        let weighed = turned * (1 << (10 - place)) % 9;
        sum += if turned != 0 && weighed == 0 { 9 } else { weighed };
    }
    first * 10 + (10 - sum % 10) % 10
}

/// A person's eleven-digit number from its first nine digits, the first of which is not 0.
pub fn tckn(first: u64) -> u64 {
    let digit = |place: u32| first / 10_u64.pow(9 - place) % 10;
    let odd: u64 = [1, 3, 5, 7, 9].into_iter().map(digit).sum();
    let even: u64 = [2, 4, 6, 8].into_iter().map(digit).sum();
    let tenth = (odd * 7 + 1_000 - even) % 10;
    let eleventh = (odd + even + tenth) % 10;
    (first * 10 + tenth) * 10 + eleventh
}

/// A thirteen-digit article number from its first twelve digits.
pub fn ean13(first: u64) -> u64 {
    let sum: u64 = (1..=12_u32)
        .map(|place| first / 10_u64.pow(12 - place) % 10 * if place.is_multiple_of(2) { 3 } else { 1 })
        .sum();
    first * 10 + (10 - sum % 10) % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_those_of_known_numbers() {
        assert_eq!(tckn(100_000_001), 10_000_000_146);
        assert_eq!(ean13(400_638_133_393), 4_006_381_333_931);
    }

    /// The rule as the tax office words it, digit by digit, against the number built.
    #[test]
    fn tax_numbers_pass_the_published_rule() {
        for first in (0..2_000).map(|n| 990_000_000 + n * 4_999) {
            let digits: Vec<u32> = vkn(first).to_string().bytes().map(|byte| u32::from(byte - b'0')).collect();
            let sum: u32 = (0..9)
                .map(|i| {
                    let tmp = (digits[i] + 9 - i as u32) % 10;
                    if tmp == 9 { tmp } else { tmp * 2_u32.pow(9 - i as u32) % 9 }
                })
                .sum();
            assert_eq!((10 - sum % 10) % 10, digits[9], "{first}");
        }
    }
}

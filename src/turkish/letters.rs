//! Letter case with dotted and dotless i, and folding for comparison.

/// Lower case as Turkish has it: `I` is the capital of `ı`, `İ` that of `i`.
pub fn lower(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            'I' => out.push('ı'),
            'İ' => out.push('i'),
            _ => out.extend(letter.to_lowercase()),
        }
    }
    out
}

/// Upper case as Turkish has it.
pub fn upper(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            'i' => out.push('İ'),
            'ı' => out.push('I'),
            _ => out.extend(letter.to_uppercase()),
        }
    }
    out
}

/// What two spellings of one name have in common: no case, no diacritics, one kind of i, single blanks. `IŞIK`, `Işık`,
/// `ışık` and the `isik` of a keyboard without Turkish letters fold to the same text.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = false;
    for letter in text.chars() {
        if letter.is_whitespace() {
            blank = !out.is_empty();
            continue;
        }
        // Combining marks: the dot that lower-casing `İ` leaves behind, and letters written in two code points.
        if ('\u{300}'..='\u{36F}').contains(&letter) {
            continue;
        }
        if blank {
            out.push(' ');
            blank = false;
        }
        for small in letter.to_lowercase() {
            match small {
                'ı' | 'î' | 'ï' | 'í' | 'ì' => out.push('i'),
                'ç' => out.push('c'),
                'ğ' => out.push('g'),
                'ş' => out.push('s'),
                'ö' | 'ô' | 'ó' | 'ò' => out.push('o'),
                'ü' | 'û' | 'ú' | 'ù' => out.push('u'),
                'â' | 'á' | 'à' | 'ä' => out.push('a'),
                'é' | 'è' | 'ê' | 'ë' => out.push('e'),
                '\u{300}'..='\u{36F}' => {}
                _ => out.push(small),
            }
        }
    }
    out
}

/// [`fold`], with everything but letters and digits as single hyphens: the readable part of an address.
pub fn slug(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in fold(text).chars() {
        if letter.is_alphanumeric() {
            out.push(letter);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    if out.ends_with('-') {
        out.pop();
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_kinds_of_i_keep_their_dot() {
        assert_eq!(lower("ISPARTA İZMİR"), "ısparta izmir");
        assert_eq!(upper("ısparta izmir"), "ISPARTA İZMİR");
    }

    #[test]
    fn spellings_of_one_name_fold_together() {
        for spelling in
            ["IŞIK Güvenlik", "ışık güvenlik", "Işık  GÜVENLİK ", "isik guvenlik", "I\u{15e}ik gu\u{308}venli\u{307}k"]
        {
            assert_eq!(fold(spelling), "isik guvenlik", "{spelling:?}");
        }
        assert_ne!(fold("kasa"), fold("masa"));
    }

    #[test]
    fn slugs_are_plain() {
        assert_eq!(slug("4MP IP Dome Kamera 2.8-12mm (Çift Işık)"), "4mp-ip-dome-kamera-2-8-12mm-cift-isik");
        assert_eq!(slug("***"), "");
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "\\PC{0,40}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn case_does_not_matter(text in "[a-zA-ZçÇğĞıİöÖşŞüÜ 0-9]{0,40}") {
            prop_assert_eq!(fold(&lower(&text)), fold(&text));
            prop_assert_eq!(fold(&upper(&text)), fold(&text));
        }

        #[test]
        fn turkish_case_is_reversible(text in "[a-zçğıiöşü 0-9]{0,40}") {
            prop_assert_eq!(lower(&upper(&text)), text);
        }
    }
}

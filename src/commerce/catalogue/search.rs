//! The words of a search.

/// No name is longer, so nothing longer finds anything.
const LONGEST: usize = 200;
const MOST_WORDS: usize = 10;

/// What a product's code, SKU, name or barcode must hold: every word, folded by Turkish rules. A word of one or two letters
/// is the beginning of a word, a longer one may stand anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Words(Vec<String>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSearch {
    #[error("has {0} characters, more than {LONGEST}")]
    TooLong(usize),
    #[error("has {0} words, more than {MOST_WORDS}")]
    TooManyWords(usize),
    #[error("holds a NUL character")]
    Nul,
}

impl Words {
    pub fn parse(text: &str) -> Result<Words, BadSearch> {
        let length = text.chars().count();
        if length > LONGEST {
            return Err(BadSearch::TooLong(length));
        }
        if text.contains('\0') {
            return Err(BadSearch::Nul);
        }
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if words.len() > MOST_WORDS {
            return Err(BadSearch::TooManyWords(words.len()));
        }
        Ok(Words(words))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes, about.
    pub(super) fn weight(&self) -> usize {
        self.0.iter().map(|word| word.len() + size_of::<String>()).sum()
    }

    pub(super) fn words(&self) -> &[String] {
        &self.0
    }

    /// Of each word whether it stands for the beginning of one.
    pub(super) fn are_beginnings(&self) -> Vec<bool> {
        self.0.iter().map(|word| is_beginning(word)).collect()
    }

    /// Patterns for `like`, still to be folded.
    pub(super) fn patterns(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|word| {
            let mut pattern = String::with_capacity(word.len() + 3);
            pattern.push('%');
            if is_beginning(word) {
                pattern.push(' ');
            }
            for letter in word.chars() {
                if matches!(letter, '%' | '_' | '\\') {
                    pattern.push('\\');
                }
                pattern.push(letter);
            }
            pattern.push('%');
            pattern
        })
    }
}

fn is_beginning(word: &str) -> bool {
    word.chars().count() < 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(text: &str) -> Vec<String> {
        Words::parse(text).expect("good words").patterns().collect()
    }

    #[test]
    fn words_become_patterns_without_meaning_of_their_own() {
        assert_eq!(patterns("  kamera 4m "), ["%kamera%", "% 4m%"]);
        assert_eq!(patterns("100%_\\ '; drop"), ["%100\\%\\_\\\\%", "% ';%", "%drop%"]);
        assert!(patterns(" \t ").is_empty());
    }

    #[test]
    fn what_finds_nothing_is_refused() {
        assert_eq!(Words::parse(&"a".repeat(201)), Err(BadSearch::TooLong(201)));
        assert_eq!(Words::parse(&"a ".repeat(11)), Err(BadSearch::TooManyWords(11)));
        assert_eq!(Words::parse("a\0b"), Err(BadSearch::Nul));
        assert!(Words::parse(&"ğ".repeat(200)).is_ok(), "characters, not bytes");
    }
}

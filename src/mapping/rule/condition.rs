//! Conditions on a record: they choose cases and skip records.

use crate::mapping::source::{Path, Row};
use crate::mapping::value::{Literal, Scalar};

#[derive(Debug, Clone)]
pub(in crate::mapping) struct Condition {
    pub path: Path,
    /// All of them must hold.
    pub tests: Vec<Test>,
}

#[derive(Debug, Clone)]
pub(in crate::mapping) enum Test {
    /// Carries something other than blanks.
    Filled(bool),
    Is(Vec<Literal>),
    IsNot(Vec<Literal>),
    Like(Pattern),
    NotLike(Pattern),
    /// Holds this text, character for character.
    Has(Box<str>),
    HasNot(Box<str>),
}

/// `*` stands for any characters, `?` for one.
#[derive(Debug, Clone)]
pub(in crate::mapping) struct Pattern(Vec<char>);

impl Pattern {
    pub(in crate::mapping) fn new(text: &str) -> Self {
        Pattern(text.chars().collect())
    }

    fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut place) = (0, 0);
        // Where the last `*` stood, and how much of the text it has swallowed so far.
        let mut star: Option<(usize, usize)> = None;
        while place < text.len() {
            match self.0.get(at) {
                Some('*') => {
                    star = Some((at, place));
                    at += 1;
                }
                Some(c) if *c == '?' || *c == text[place] => {
                    at += 1;
                    place += 1;
                }
                _ => match star {
                    Some((star_at, swallowed)) => {
                        star = Some((star_at, swallowed + 1));
                        at = star_at + 1;
                        place = swallowed + 1;
                    }
                    None => return false,
                },
            }
        }
        self.0[at.min(self.0.len())..].iter().all(|c| *c == '*')
    }
}

impl Condition {
    fn holds(&self, row: Row<'_, '_>) -> bool {
        // A text with a broken escape equals nothing that a mapping could name.
        let scalar = self.path.get(row).unwrap_or(Scalar::Missing);
        self.tests.iter().all(|test| match test {
            Test::Filled(wanted) => *wanted == filled(&scalar),
            Test::Is(literals) => literals.iter().any(|literal| literal.matches(&scalar)),
            Test::IsNot(literals) => !literals.iter().any(|literal| literal.matches(&scalar)),
            Test::Like(pattern) => scalar.text().is_some_and(|text| pattern.matches(text.trim_end())),
            Test::NotLike(pattern) => !scalar.text().is_some_and(|text| pattern.matches(text.trim_end())),
            Test::Has(part) => scalar.text().is_some_and(|text| text.contains(&**part)),
            Test::HasNot(part) => !scalar.text().is_some_and(|text| text.contains(&**part)),
        })
    }
}

fn filled(scalar: &Scalar<'_>) -> bool {
    match scalar {
        Scalar::Missing | Scalar::Null => false,
        Scalar::Text(text) => !text.trim().is_empty(),
        Scalar::Number(_) | Scalar::Bool(_) | Scalar::Nested(_) => true,
    }
}

pub(in crate::mapping) fn all_hold(conditions: &[Condition], row: Row<'_, '_>) -> bool {
    conditions.iter().all(|condition| condition.holds(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, want) in [
            ("120.*", "120.34.0187", true),
            ("120.*", "1200", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a?c", "aşc", true),
            ("*BAYI*LST", "XBAYIBAYI2LST", true),
            ("*a*b", "aXbX", false),
            ("a", "ab", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), want, "{pattern} on {text}");
        }
    }
}

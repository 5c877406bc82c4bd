//! What is wrong with a mapping file, and where.

use std::fmt;
use std::ops::Range;

/// One error in a mapping file: the place, what is wrong, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    /// From 1; 0 when the file could not be read at all.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub what: String,
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}; {}", self.file, self.what, self.remedy)
        } else {
            write!(f, "{}:{}:{}: {}; {}", self.file, self.line, self.column, self.what, self.remedy)
        }
    }
}

/// Gathers the problems of one file, so that all of them are told at once.
pub(super) struct Report<'t> {
    file: String,
    text: &'t str,
    problems: Vec<Problem>,
}

impl<'t> Report<'t> {
    pub(super) fn new(file: &str, text: &'t str) -> Self {
        Report { file: file.to_owned(), text, problems: Vec::new() }
    }

    pub(super) fn add(&mut self, span: &Range<usize>, what: impl Into<String>, remedy: impl Into<String>) {
        let (line, column) = place(self.text, span.start);
        self.problems.push(Problem { file: self.file.clone(), line, column, what: what.into(), remedy: remedy.into() });
    }

    pub(super) fn len(&self) -> usize {
        self.problems.len()
    }

    /// In the order of the file.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        self.problems
    }
}

/// Line and column (both from 1) of a byte of a text.
pub(super) fn place(text: &str, byte: usize) -> (usize, usize) {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    let before = &text[..byte];
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}

/// The nearest of the known words, when one is near enough to be meant.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(word.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean …" when a known word is near, else the list of them.
pub(super) fn suggest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("use one of: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_not_bytes() {
        let text = "ad = 1\nşık = 2\n";
        let byte = text.find("= 2").unwrap();
        assert_eq!(place(text, byte), (2, 5));
        assert_eq!(place(text, 10_000), (3, 1));
    }

    #[test]
    fn near_words_are_suggested() {
        assert_eq!(suggest("transform", ["transforms", "table"]), "did you mean `transforms`?");
        assert_eq!(suggest("zzzzzzzz", ["from"]), "use one of: from");
    }
}

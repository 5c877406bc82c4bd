//! Texts with named places, filled and read back.

use std::collections::BTreeMap;

pub(super) type Values = BTreeMap<&'static str, String>;

/// A text with named places, its comments and line breaks taken out.
pub(super) struct Template {
    /// What stands before each place, and the place's name.
    parts: Vec<(String, String)>,
    tail: String,
}

impl Template {
    pub(super) fn new(source: &str) -> Template {
        let text: Vec<&str> = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"))
            .flat_map(str::split_whitespace)
            .collect();
        let text = text.join(" ");
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            parts.push((before.to_owned(), name.to_owned()));
            rest = after;
        }
        Template { parts, tail: rest.to_owned() }
    }

    pub(super) fn fill(&self, values: &Values) -> String {
        let mut text = String::with_capacity(2048);
        for (before, name) in &self.parts {
            text.push_str(before);
            text.push_str(values.get(name.as_str()).map_or("", String::as_str));
        }
        text.push_str(&self.tail);
        text
    }

    pub(super) fn read<'t>(&'t self, text: &str) -> Option<BTreeMap<&'t str, String>> {
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        let mut rest = text.strip_prefix(self.parts.first().map_or(self.tail.as_str(), |(before, _)| before))?;
        for (place, (_, name)) in self.parts.iter().enumerate() {
            let next = self.parts.get(place + 1).map_or(self.tail.as_str(), |(before, _)| before);
            let last = place + 1 == self.parts.len();
            let end = match next {
                "" if last => rest.len(),
                _ => rest.find(next)?,
            };
            let value = &rest[..end];
            if values.get(name.as_str()).is_some_and(|seen| seen != value) {
                return None;
            }
            values.insert(name, value.to_owned());
            rest = &rest[end + next.len()..];
        }
        rest.is_empty().then_some(values)
    }
}

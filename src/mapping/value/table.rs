//! Code tables, the overlay of people's answers, and the count of codes that nobody knows yet.

use std::collections::{BTreeMap, HashMap};

use super::number::whole;

/// A code as tables and counts know it: without blanks on the right, and `160.0` as `160`.
pub fn plain_code(code: &str) -> &str {
    let code = code.trim_end();
    whole(code).unwrap_or(code)
}

/// The codes of one table of a mapping file.
#[derive(Debug, Clone, Default)]
pub(in crate::mapping) struct Table {
    pub name: String,
    entries: HashMap<Box<str>, Box<str>>,
}

/// What to do with a code that stands in no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::mapping) enum OnUnmapped {
    #[default]
    Fail,
    Keep,
    Null,
}

impl OnUnmapped {
    pub(in crate::mapping) const NAMES: [&'static str; 3] = ["fail", "keep", "null"];

    pub(in crate::mapping) fn parse(name: &str) -> Option<Self> {
        match name {
            "fail" => Some(OnUnmapped::Fail),
            "keep" => Some(OnUnmapped::Keep),
            "null" => Some(OnUnmapped::Null),
            _ => None,
        }
    }
}

/// What people answered for codes that the files do not know. It lies over the tables of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    tables: BTreeMap<String, BTreeMap<String, String>>,
}

impl Overlay {
    pub fn new() -> Self {
        Overlay::default()
    }

    pub fn insert(&mut self, table: impl Into<String>, code: impl Into<String>, value: impl Into<String>) {
        self.tables.entry(table.into()).or_default().insert(code.into(), value.into());
    }

    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The same with other answers in the place of its own.
    pub fn under(&self, over: &Overlay) -> Overlay {
        let mut both = self.clone();
        for (table, codes) in over.tables() {
            both.tables.entry(table.to_owned()).or_default().extend(codes.clone());
        }
        both
    }

    /// What was answered for the codes of a table, in the order of the codes.
    pub fn table(&self, table: &str) -> Option<&BTreeMap<String, String>> {
        self.tables.get(table)
    }

    pub fn tables(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, String>)> {
        self.tables.iter().map(|(name, codes)| (name.as_str(), codes))
    }

    fn get(&self, table: &str, code: &str) -> Option<&str> {
        if self.tables.is_empty() {
            return None;
        }
        self.tables.get(table)?.get(code).map(String::as_str)
    }
}

impl Table {
    pub(in crate::mapping) fn new(name: &str) -> Self {
        Table { name: name.to_owned(), entries: HashMap::new() }
    }

    pub(in crate::mapping) fn insert(&mut self, code: &str, value: &str) {
        self.entries.insert(code.into(), value.into());
    }

    pub(in crate::mapping) fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(code, value)| (&**code, &**value))
    }

    /// In the order of the codes, for the content hash.
    pub(in crate::mapping) fn sorted(&self) -> BTreeMap<&str, &str> {
        self.values().collect()
    }

    /// `160.0` finds `160`: databases deliver codes as doubles.
    pub(in crate::mapping) fn get<'t>(&'t self, code: &str, overlay: &'t Overlay) -> Option<&'t str> {
        let code = code.trim_end();
        self.exact(code, overlay).or_else(|| self.exact(whole(code)?, overlay))
    }

    fn exact<'t>(&'t self, code: &str, overlay: &'t Overlay) -> Option<&'t str> {
        overlay.get(&self.name, code).or_else(|| self.entries.get(code).map(|value| &**value))
    }
}

/// A code that stands in no table, how often the page carried it, and the external code of a record that did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmapped {
    pub table: String,
    pub code: String,
    pub count: usize,
    pub example: Option<String>,
}

/// The unmapped codes of one page.
#[derive(Debug, Default)]
pub(in crate::mapping) struct UnmappedCount {
    counts: BTreeMap<(String, String), (usize, Option<String>)>,
    /// Those of the record in hand that have no example yet.
    unnamed: Vec<(String, String)>,
}

impl UnmappedCount {
    pub(in crate::mapping) fn add(&mut self, table: &str, code: &str) {
        // No store keeps a NUL character in a text.
        let key = (table.to_owned(), plain_code(code).replace('\0', "\u{FFFD}"));
        let (count, example) = self.counts.entry(key.clone()).or_default();
        *count += 1;
        if example.is_none() {
            self.unnamed.push(key);
        }
    }

    /// Names the record in which the codes since the last call were found.
    pub(in crate::mapping) fn found_in(&mut self, record: Option<&str>) {
        for key in self.unnamed.drain(..) {
            if let (Some((_, example)), Some(record)) = (self.counts.get_mut(&key), record) {
                *example = Some(record.to_owned());
            }
        }
    }

    pub(in crate::mapping) fn into_list(self) -> Vec<Unmapped> {
        let unmapped = |((table, code), (count, example))| Unmapped { table, code, count, example };
        self.counts.into_iter().map(unmapped).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overlay_lies_over_the_table() {
        let mut table = Table::new("currency");
        table.insert("160", "TRY");
        let mut overlay = Overlay::new();
        assert_eq!(table.get("160.0 ", &overlay), Some("TRY"));
        assert_eq!(table.get("13", &overlay), None);
        overlay.insert("currency", "13", "JPY");
        overlay.insert("currency", "160", "TRL");
        assert_eq!(table.get("13", &overlay), Some("JPY"));
        assert_eq!(table.get("160", &overlay), Some("TRL"));
    }
}

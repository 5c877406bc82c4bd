//! Code tables: those that the mappings of a system share, and those of one file.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::mapping::problem::{Report, suggest};
use crate::mapping::value::Table;

use super::section::{Section, Span, literal, section_of};

#[derive(Debug, Default, Clone)]
pub(super) struct Tables {
    known: HashMap<String, Arc<Table>>,
    used: BTreeMap<String, Arc<Table>>,
}

impl Tables {
    /// Adds the tables of a section, each a table of `code = value`. A later table hides an earlier one of its name.
    pub(super) fn read(&mut self, section: &Section<'_>, report: &mut Report<'_>) {
        for (name, _, value) in section.entries() {
            let Some(rows) = section_of(value, format!("[{name}]"), name, report) else { continue };
            let mut table = Table::new(name);
            for (code, span, value) in rows.entries() {
                match literal(value.get_ref()) {
                    Some((text, _)) => table.insert(code, &text),
                    None => report.add(
                        &span,
                        format!("the value of the code `{code}` is neither text nor number nor flag"),
                        "write one plain value a code",
                    ),
                }
            }
            self.known.insert(name.to_owned(), Arc::new(table));
        }
    }

    pub(super) fn get(&mut self, name: &str, span: &Span, report: &mut Report<'_>) -> Option<Arc<Table>> {
        match self.known.get(name) {
            Some(table) => {
                self.used.insert(name.to_owned(), table.clone());
                Some(table.clone())
            }
            None => {
                let remedy = suggest(name, self.known.keys().map(String::as_str));
                report.add(span, format!("there is no code table `{name}`"), remedy);
                None
            }
        }
    }

    /// Every table with its codes.
    pub(super) fn contents(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let owned = |(code, value): (&str, &str)| (code.to_owned(), value.to_owned());
        self.known.iter().map(|(name, table)| (name.clone(), table.values().map(owned).collect())).collect()
    }

    /// Those that the mapping asked for, by name.
    pub(super) fn used(&self) -> impl Iterator<Item = &Table> {
        self.used.values().map(AsRef::as_ref)
    }
}

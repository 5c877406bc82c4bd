//! A mapping with the answers of people that lie over its tables: what pages are mapped with.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::iter::once;
use std::ops::Deref;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::canonical::Entity;

use super::compiled::{Mapped, Mapping};
use super::explain::Explained;
use super::memory::{Memory, Read, Recollection};
use super::source::{Format, Unreadable};
use super::value::Overlay;

/// Cheap to clone. Everything of the mapping itself can be asked of it; what depends on the answers is its own.
#[derive(Debug, Clone)]
pub struct Effective {
    mapping: Arc<Mapping>,
    overlay: Arc<Overlay>,
    hash: Arc<str>,
}

impl Deref for Effective {
    type Target = Mapping;

    fn deref(&self) -> &Mapping {
        &self.mapping
    }
}

impl Effective {
    pub fn new(mapping: Arc<Mapping>, overlay: Arc<Overlay>) -> Effective {
        let hash = combined_hash(&mapping, &overlay).into();
        Effective { mapping, overlay, hash }
    }

    /// Of the file, the tables that it uses and the answers for them.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// [`Mapping::map`] with the answers.
    pub fn map<'a>(&self, format: Format, body: &'a [u8]) -> Result<Mapped<'a>, Unreadable> {
        self.mapping.map(format, body, &self.overlay)
    }

    /// A record as it is pushed, by itself, is a list of one; any other document is what it is.
    pub fn standalone<'d>(&self, format: Format, document: &'d [u8]) -> Cow<'d, [u8]> {
        let bare = format == Format::Json && document.trim_ascii_start().starts_with(b"{");
        if bare && self.map_with_parts(format, document).is_err() {
            let list = [b"[", document, b"]"].concat();
            if self.map_with_parts(format, &list).is_ok() {
                return Cow::Owned(list);
            }
        }
        Cow::Borrowed(document)
    }

    /// [`Mapping::map_with_parts`] with the answers.
    pub fn map_with_parts<'a>(&self, format: Format, body: &'a [u8]) -> Result<Vec<Mapped<'a>>, Unreadable> {
        self.mapping.map_with_parts(format, body, &self.overlay)
    }

    /// The same beside what `memory` keeps of this instance's: records that it `recalls` are not read, and come without values
    /// ([`Change::is_recalled`](crate::canonical::Change::is_recalled)).
    pub fn read<'a>(
        &self,
        format: Format,
        body: &'a [u8],
        memory: Option<&Memory>,
        connector: &str,
        recalls: bool,
    ) -> Result<Read<'a>, Unreadable> {
        let memory = memory.filter(|_| format == Format::Json);
        let memory = memory.map(|memory| Recollection::new(memory, (&self.hash, connector), recalls));
        self.mapping.read(format, body, &self.overlay, memory)
    }

    /// What each of its parts makes of the document by itself, whatever the mapping makes of it.
    pub fn parts_alone<'a>(&self, format: Format, body: &'a [u8]) -> Vec<(Entity, Mapped<'a>)> {
        let mapped = |part: &Arc<Mapping>| Some((part.entity(), part.map(format, body, &self.overlay).ok()?));
        self.mapping.parts().iter().filter_map(mapped).collect()
    }

    /// [`Mapping::explain`] with the answers, and the same by each of its parts.
    pub fn explain_with_parts(&self, format: Format, body: &[u8]) -> Result<Vec<Vec<Explained>>, Unreadable> {
        let all = once(self.mapping.as_ref()).chain(self.mapping.parts().iter().map(AsRef::as_ref));
        all.map(|mapping| mapping.explain(format, body, &self.overlay)).collect()
    }

    /// [`Mapping::explain`] with the answers.
    pub fn explain(&self, format: Format, body: &[u8]) -> Result<Vec<Explained>, Unreadable> {
        self.mapping.explain(format, body, &self.overlay)
    }

    /// Whether the table gives something for the code.
    pub fn knows(&self, table: &str, code: &str) -> bool {
        self.mapping.knows(table, code, &self.overlay)
    }

    /// Whether what was refused in a target field as an unknown code is a known one now.
    pub fn knows_in_field(&self, field: &str, code: &str) -> bool {
        self.mapping.knows_in_field(field, code, &self.overlay)
    }
}

/// Without an answer for one of its tables: the mapping's own hash.
fn combined_hash(mapping: &Mapping, overlay: &Overlay) -> String {
    let tables: BTreeSet<_> =
        once(mapping).chain(mapping.parts().iter().map(AsRef::as_ref)).flat_map(Mapping::tables).collect();
    let mut answers = overlay.tables().filter(|(name, _)| tables.contains(name)).peekable();
    if answers.peek().is_none() {
        return mapping.hash().to_owned();
    }
    let mut hasher = Sha256::new();
    hasher.update(mapping.hash());
    for (table, codes) in answers {
        for (code, value) in codes {
            for part in [table, code, value] {
                hasher.update([0]);
                hasher.update(part);
            }
        }
    }
    super::hex(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Library;

    const BRANDS: &str = r#"
entity = "brand"
[records]
json = "items"
[key]
from = "CODE"
[fields.name]
from = "NAME"
table = "names"
[tables.names]
A = "Anadolu"
"#;

    #[test]
    fn answers_for_its_tables_change_the_hash_and_no_others_do() {
        let library = Library::from_texts(&[("x/brands.toml", BRANDS)]).unwrap();
        let mapping = library.get("x/brands").unwrap();
        let with = |answers: &[(&str, &str, &str)]| {
            let mut overlay = Overlay::new();
            answers.iter().for_each(|(table, code, value)| overlay.insert(*table, *code, *value));
            Effective::new(Arc::clone(&mapping), Arc::new(overlay))
        };
        let plain = with(&[]);
        assert_eq!(plain.hash(), mapping.hash());
        assert_eq!(with(&[("other", "B", "Bursa")]).hash(), mapping.hash());
        let answered = with(&[("names", "B", "Bursa")]);
        assert_ne!(answered.hash(), mapping.hash());
        assert_ne!(answered.hash(), with(&[("names", "B", "Bolu")]).hash());
        assert_eq!(answered.hash(), with(&[("names", "B", "Bursa"), ("other", "B", "x")]).hash());

        let page = br#"{"items":[{"CODE":"1","NAME":"B"}]}"#;
        assert_eq!(plain.map(Format::Json, page).unwrap().unmapped[0].example.as_deref(), Some("1"));
        assert_eq!(answered.map(Format::Json, page).unwrap().changes[0].to_json()["name"], "Bursa");
    }
}

//! The slot table: which top-level keys of a record a mapping needs, and where each goes.

use std::collections::HashMap;

/// The distinct top-level keys that the paths of a mapping (or of one of its lists) begin with.
#[derive(Debug, Clone, Default)]
pub(in crate::mapping) struct Shape {
    slots: HashMap<Box<str>, u16>,
}

impl Shape {
    /// The slot of a key; a new one if nobody has asked for it yet.
    pub(in crate::mapping) fn slot(&mut self, key: &str) -> u16 {
        // A mapping file with 65,536 distinct keys would have to be 65,536 lines long; the last slot is then shared.
        let next = u16::try_from(self.slots.len()).unwrap_or(u16::MAX);
        *self.slots.entry(key.into()).or_insert(next)
    }

    pub(in crate::mapping) fn find(&self, key: &str) -> Option<u16> {
        self.slots.get(key).copied()
    }

    pub(in crate::mapping) fn iter(&self) -> impl Iterator<Item = (&str, u16)> {
        self.slots.iter().map(|(key, slot)| (&**key, *slot))
    }

    pub(in crate::mapping) fn len(&self) -> usize {
        self.slots.len()
    }
}

/// One record: the raw JSON of each needed key, and of the whole record if an expression asks for it.
#[derive(Debug, Clone, Copy)]
pub(in crate::mapping) struct Row<'s, 'a> {
    pub ordinal: u32,
    pub slots: &'s [Option<&'a str>],
    pub whole: Option<&'a str>,
}

/// The keys of the last record in their order: the next one nearly always has the same.
#[derive(Debug, Default)]
pub(super) struct KeyOrder<'a> {
    keys: Vec<(&'a str, Option<u16>)>,
}

impl<'a> KeyOrder<'a> {
    /// The slot of the key at this place of a record.
    pub(super) fn slot(&mut self, place: usize, key: &'a str, shape: &Shape) -> Option<u16> {
        if let Some((known, slot)) = self.keys.get(place)
            && *known == key
        {
            return *slot;
        }
        let slot = shape.find(key);
        match self.keys.get_mut(place) {
            Some(entry) => *entry = (key, slot),
            None => self.keys.push((key, slot)),
        }
        slot
    }
}

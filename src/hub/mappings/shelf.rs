//! The library and the answers that are in force in this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::mapping::{Effective, Library, Overlay};

/// The answers of people, by system.
pub type Overlays = BTreeMap<String, Arc<Overlay>>;

/// One set of rules. It never changes; another one takes its place.
#[derive(Debug, Default)]
pub struct InForce {
    library: Arc<Library>,
    overlays: Overlays,
    overlay_version: i64,
    effective: BTreeMap<String, Effective>,
}

/// `logo` of `logo/items`.
pub fn system_of(mapping: &str) -> &str {
    mapping.split_once('/').map_or(mapping, |(system, _)| system)
}

impl InForce {
    fn new(library: Arc<Library>, overlays: Overlays, overlay_version: i64) -> InForce {
        let effective = library.iter().map(|mapping| {
            let overlay = overlays.get(system_of(mapping.name())).cloned().unwrap_or_default();
            (mapping.name().to_owned(), Effective::new(Arc::clone(mapping), overlay))
        });
        let effective = effective.collect();
        InForce { library, overlays, overlay_version, effective }
    }

    pub fn get(&self, name: &str) -> Option<Effective> {
        self.effective.get(name).cloned()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Effective> {
        self.effective.values()
    }

    /// The mappings of one system.
    pub fn of_system(&self, system: &str) -> impl Iterator<Item = &Effective> {
        self.iter().filter(move |mapping| system_of(mapping.name()) == system)
    }

    pub fn library(&self) -> &Arc<Library> {
        &self.library
    }

    pub fn overlay(&self, system: &str) -> Arc<Overlay> {
        self.overlays.get(system).cloned().unwrap_or_default()
    }

    pub fn overlay_version(&self) -> i64 {
        self.overlay_version
    }
}

/// Where everybody finds what is in force. Whoever maps takes one [`Effective`] for a page, or one [`InForce`] for
/// several mappings that must fit together.
#[derive(Debug)]
pub struct Shelf(RwLock<Arc<InForce>>);

impl Shelf {
    pub fn new(library: Arc<Library>) -> Shelf {
        // Before any answer was given the store counts 0; nothing is known of them yet.
        Shelf(RwLock::new(Arc::new(InForce::new(library, Overlays::new(), -1))))
    }

    pub fn now(&self) -> Arc<InForce> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn get(&self, name: &str) -> Option<Effective> {
        self.now().get(name)
    }

    /// Puts another library in force, under the same answers.
    pub fn put_library(&self, library: Arc<Library>) {
        self.change(|held| Some(InForce::new(library, held.overlays.clone(), held.overlay_version)));
    }

    /// Puts answers in force. Older ones than those that are held change nothing.
    pub fn put_overlays(&self, overlays: Overlays, version: i64) {
        self.change(|held| {
            (version > held.overlay_version).then(|| InForce::new(Arc::clone(&held.library), overlays, version))
        });
    }

    fn change(&self, next: impl FnOnce(&InForce) -> Option<InForce>) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = next(&held) {
            *held = Arc::new(next);
        }
    }
}

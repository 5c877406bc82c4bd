//! The library and the answers that are in force in this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::mapping::{Effective, Library, Overlay};

/// The answers of people.
#[derive(Debug, Clone, Default)]
pub struct Overlays {
    /// By system: for all its instances.
    pub systems: BTreeMap<String, Overlay>,
    /// By instance and system: for that one alone, over the others.
    pub instances: BTreeMap<String, BTreeMap<String, Overlay>>,
}

/// One set of rules. It never changes; another one takes its place.
#[derive(Debug, Default)]
pub struct InForce {
    library: Arc<Library>,
    overlays: Overlays,
    overlay_version: i64,
    effective: BTreeMap<String, Effective>,
    /// By instance and mapping, where an instance has answers of its own.
    own: BTreeMap<String, BTreeMap<String, Effective>>,
}

/// `logo` of `logo/items`.
pub fn system_of(mapping: &str) -> &str {
    mapping.split_once('/').map_or(mapping, |(system, _)| system)
}

impl InForce {
    fn new(library: Arc<Library>, overlays: Overlays, overlay_version: i64) -> InForce {
        let mut of_systems: BTreeMap<&str, Arc<Overlay>> = BTreeMap::new();
        for (system, overlay) in &overlays.systems {
            of_systems.insert(system, Arc::new(overlay.clone()));
        }
        let effective = library.iter().map(|mapping| {
            let overlay = of_systems.get(system_of(mapping.name())).cloned().unwrap_or_default();
            (mapping.name().to_owned(), Effective::new(Arc::clone(mapping), overlay))
        });
        let effective = effective.collect();
        let mut own: BTreeMap<String, BTreeMap<String, Effective>> = BTreeMap::new();
        for (instance, systems) in &overlays.instances {
            for (system, over) in systems {
                let overlay = Arc::new(merged(&overlays, system, over));
                let of_system = library.iter().filter(|mapping| system_of(mapping.name()) == system);
                own.entry(instance.clone()).or_default().extend(of_system.map(|mapping| {
                    (mapping.name().to_owned(), Effective::new(Arc::clone(mapping), Arc::clone(&overlay)))
                }));
            }
        }
        InForce { library, overlays, overlay_version, effective, own }
    }

    /// With the answers for all instances of its system.
    pub fn get(&self, name: &str) -> Option<Effective> {
        self.effective.get(name).cloned()
    }

    /// With the answers for this instance: what its documents are mapped with.
    pub fn get_for(&self, instance: &str, name: &str) -> Option<Effective> {
        let own = self.own.get(instance).and_then(|own| own.get(name));
        own.or_else(|| self.effective.get(name)).cloned()
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

    /// The answers of a system, those of an instance over them.
    pub fn overlay(&self, system: &str, instance: Option<&str>) -> Overlay {
        let own = instance.and_then(|instance| self.overlays.instances.get(instance)?.get(system));
        match own {
            Some(over) => merged(&self.overlays, system, over),
            None => self.overlays.systems.get(system).cloned().unwrap_or_default(),
        }
    }

    pub fn overlay_version(&self) -> i64 {
        self.overlay_version
    }
}

fn merged(overlays: &Overlays, system: &str, over: &Overlay) -> Overlay {
    overlays.systems.get(system).cloned().unwrap_or_default().under(over)
}

/// Where everybody finds what is in force. Whoever maps takes one [`Effective`] for a page, or one [`InForce`] for
/// several mappings that must fit together.
#[derive(Debug)]
pub struct Shelf(RwLock<Arc<InForce>>);

impl Shelf {
    pub fn new(library: Arc<Library>) -> Shelf {
        // Before any answer was given the store counts 0; nothing is known of them yet.
        Shelf(RwLock::new(Arc::new(InForce::new(library, Overlays::default(), -1))))
    }

    pub fn now(&self) -> Arc<InForce> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// See [`InForce::get`].
    pub fn get(&self, name: &str) -> Option<Effective> {
        self.now().get(name)
    }

    /// See [`InForce::get_for`].
    pub fn get_for(&self, instance: &str, name: &str) -> Option<Effective> {
        self.now().get_for(instance, name)
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

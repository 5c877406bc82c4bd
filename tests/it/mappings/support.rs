//! A hub whose mappings stand in a directory of its own.

use std::{fs, sync::Arc};

use kopru::{
    hub::{daemons, engine::Engine, mappings::watch::Watcher},
    mapping::Library,
};
use tempfile::TempDir;

use crate::support::hub::{Hub, mapping_files};

pub struct Mapped {
    pub hub: Hub,
    pub dir: TempDir,
}

/// Codes of units that are looked up in a table; those of weight units are taken as they are.
pub const UNITS: &str = "[fields.unit]\nfrom = \"unit\"\ntable = \"unit\"\n\
    [fields.weightUnit]\nfrom = \"measure\"\ntable = \"measure\"\nunmapped = \"keep\"\n";
pub const TABLES: &str = "[unit]\nAD = \"ADET\"\n[measure]\nK = \"kg\"\n";

impl Mapped {
    pub async fn new() -> Mapped {
        let dir = TempDir::new().expect("a directory");
        fs::create_dir(dir.path().join("test")).expect("a directory");
        for (path, text) in mapping_files() {
            let text = if path == "test/products.toml" { format!("{text}{UNITS}") } else { text };
            fs::write(dir.path().join(path), text).expect("a file");
        }
        fs::write(dir.path().join("test/tables.toml"), TABLES).expect("a file");
        let library = Library::in_force(Some(dir.path())).unwrap_or_else(|problems| panic!("{problems:?}"));
        let hub = Hub::with(|build| {
            build.library = Arc::new(library);
            build.settings.mappings_dir = Some(dir.path().to_owned());
        })
        .await;
        Mapped { hub, dir }
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dir.path().join(path)).expect("a file")
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::write(self.dir.path().join(path), text).expect("a file");
    }

    /// Replaces a part of a file.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has {from}");
        self.write(path, &text.replace(from, to));
    }
}

/// As the heartbeat writes it.
pub async fn sign_on(engine: &Engine, host: &str) {
    daemons::beat(&engine.pool, engine.id, host, 7).await.expect("a heartbeat");
}

/// The looks that it takes to see that a file is whole.
pub async fn settle(watcher: &mut Watcher, engine: &Engine) {
    watcher.look(engine, false).await;
    watcher.look(engine, false).await;
}

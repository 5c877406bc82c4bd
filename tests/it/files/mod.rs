//! Watched folders, from a file that somebody drops to what stands in the store and beside the file.

mod broken;
mod content;
mod lists;
mod ownership;
mod trouble;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use kopru::{
    hub::{
        engine::Engine,
        files::{FileRow, Folder, Round, Take, Watcher, store},
        leases,
    },
    mapping::Library,
};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::hub::{ERP, Hub};

/// A hub, a folder, and who watches it.
struct Inbox {
    hub: Hub,
    dir: TempDir,
    folder: Arc<Folder>,
    watcher: Watcher,
}

impl Inbox {
    async fn new() -> Inbox {
        Inbox::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Folder)) -> Inbox {
        let library = Arc::new(Library::load(None).expect("the built-in mappings"));
        let hub = Hub::with(|build| {
            build.library = library;
            build.polled = &[];
        })
        .await;
        let dir = TempDir::new().expect("a directory");
        let take = |pattern: &str, mapping: Option<&str>| Take {
            pattern: pattern.to_owned(),
            mapping: mapping.map(str::to_owned),
            format: None,
            encoding: None,
        };
        let mut folder = Folder {
            name: "inbox".to_owned(),
            dir: dir.path().to_owned(),
            instance: ERP.to_owned(),
            settle: Duration::ZERO,
            every: Duration::from_secs(1),
            max_bytes: 64 * 1024 * 1024,
            takes: vec![
                take("*.xml", None),
                take("products*.csv", Some("csv/products")),
                take("stock*.csv", Some("csv/stock")),
                take("prices*.csv", Some("csv/prices")),
            ],
            roots: BTreeMap::from([
                ("ITEMS".to_owned(), "logo/items".to_owned()),
                ("AR_APS".to_owned(), "logo/customers".to_owned()),
            ]),
        };
        change(&mut folder);
        let folder = Arc::new(folder);
        let watcher = Watcher::new(&hub.engine, Arc::clone(&folder));
        Inbox { hub, dir, folder, watcher }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), bytes).expect("a dropped file");
    }

    async fn round(&mut self) -> Round {
        self.watcher.round().await.expect("a round")
    }

    /// Two looks: a file is taken at the second.
    async fn rounds(&mut self) -> Round {
        self.round().await;
        self.round().await
    }

    /// Drops a file and works it off.
    async fn take(&mut self, name: &str, bytes: impl AsRef<[u8]>) -> FileRow {
        self.put(name, bytes);
        let round = self.rounds().await;
        assert_eq!((round.taken, round.waiting), (1, 0), "{name}: {:?}", self.files().await);
        self.files().await.remove(0)
    }

    /// Newest first.
    async fn files(&self) -> Vec<FileRow> {
        store::list(self.hub.pool(), &store::FileFilter::default(), None, 100).await.expect("the store")
    }

    async fn file(&self, id: Uuid) -> FileRow {
        store::get(self.hub.pool(), id).await.expect("the store").expect("the file is known")
    }

    /// Another process that watches the same folder.
    fn beside(&self) -> (Engine, Watcher) {
        let engine = self.hub.beside();
        let watcher = Watcher::new(&engine, Arc::clone(&self.folder));
        (engine, watcher)
    }

    /// The process that watched is gone without a word; its lease has run out.
    async fn die(&mut self) {
        leases::release_all(self.hub.pool(), self.hub.engine.id).await.expect("the store");
        let (engine, watcher) = self.beside();
        self.watcher = watcher;
        self.hub.engine = engine;
    }

    /// The names in a place below the folder, sorted.
    fn names(&self, place: &str) -> Vec<String> {
        names(&self.path().join(place))
    }

    /// The report beside the only file in `place`.
    fn report(&self, place: &str) -> Value {
        let name = self.names(place).into_iter().find(|name| name.ends_with(".report.json")).expect("a report");
        let text = fs::read_to_string(self.path().join(place).join(name)).expect("readable");
        serde_json::from_str(&text).expect("JSON")
    }

    async fn product(&self, code: &str) -> Value {
        self.hub.row(&format!("select * from commerce.product where code = '{code}'")).await
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exchange").join(name);
    fs::read(path).expect("the fixture")
}

/// An item file of these records, in UTF-8.
fn items(records: impl IntoIterator<Item = String>) -> String {
    let records: String = records.into_iter().collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ITEMS>\n{records}</ITEMS>\n")
}

fn item(dbop: &str, code: &str, name: &str) -> String {
    format!("<ITEM DBOP=\"{dbop}\"><CODE>{code}</CODE><NAME>{name}</NAME><CARD_TYPE>1</CARD_TYPE></ITEM>\n")
}

/// As many items as that, `A00000` and so on.
fn many(count: usize) -> String {
    items((0..count).map(|n| item("INS", &format!("A{n:05}"), &format!("Ürün {n}"))))
}

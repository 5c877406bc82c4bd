//! The watched folder of a demo, `<data-dir>/drop`, and the file that is dropped there at its start.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::Check;
use crate::hub::{
    engine::Engine,
    files::{FileRow, FilesError, Folder, Watcher, store},
};

/// The name of the folder in the configuration.
pub(super) const FOLDER: &str = "drop";

/// An exchange file of LOGO's, in windows-1254.
const SAMPLE: &[u8] = include_bytes!("sample.xml");
const SAMPLE_NAME: &str = "ITEMS-ornek.xml";
const SAMPLE_RECORDS: i64 = 3;

/// How long it may take to be taken.
const PATIENCE: Duration = Duration::from_secs(60);

fn place(dir: &Path) -> io::Result<PathBuf> {
    Ok(fs::canonicalize(dir)?.join(FOLDER))
}

/// `[files.drop]`: XML by its root element, lists by their names.
pub(super) fn config_toml(dir: &Path) -> io::Result<String> {
    let take = |pattern: &str, mapping: Option<&str>| {
        let mut take = toml::Table::from_iter([("pattern".to_owned(), pattern.into())]);
        take.extend(mapping.map(|mapping| ("mapping".to_owned(), mapping.into())));
        toml::Value::Table(take)
    };
    let takes = vec![
        take("*.xml", None),
        take("products*.csv", Some("csv/products")),
        take("prices*.csv", Some("csv/prices")),
        take("stock*.csv", Some("csv/stock")),
    ];
    let folder = toml::Table::from_iter([
        ("dir".to_owned(), place(dir)?.display().to_string().into()),
        ("instance".to_owned(), "logo".into()),
        ("settle_secs".to_owned(), 1.into()),
        ("every_secs".to_owned(), 1.into()),
        ("take".to_owned(), toml::Value::Array(takes)),
    ]);
    let folders = toml::Table::from_iter([(FOLDER.to_owned(), folder.into())]);
    let text = toml::to_string_pretty(&toml::Table::from_iter([("files".to_owned(), folders.into())]));
    text.map_err(io::Error::other)
}

/// Drops the sample as a careful sender does: under another name first. Answers the folder.
pub fn drop_sample(dir: &Path) -> io::Result<PathBuf> {
    let folder = place(dir)?;
    fs::create_dir_all(&folder)?;
    let unfinished = folder.join(format!("{SAMPLE_NAME}.part"));
    fs::write(&unfinished, SAMPLE)?;
    fs::rename(unfinished, folder.join(SAMPLE_NAME))?;
    Ok(folder)
}

/// Looks into the folder until the sample has been taken, and says what became of it.
pub(super) async fn check(engine: &Engine, folder: Arc<Folder>) -> Result<Check, sqlx::Error> {
    let told = |ok, detail| Check { name: "files.items", ok: Some(ok), detail };
    match taken(engine, folder).await {
        Ok(Some(file)) => {
            let applied = file.created + file.updated + file.unchanged;
            let detail = format!("{applied} of {SAMPLE_RECORDS} records of {SAMPLE_NAME} are in");
            Ok(told(file.state == "done" && file.failed == 0 && applied == SAMPLE_RECORDS, detail))
        }
        Ok(None) => Ok(told(false, format!("{SAMPLE_NAME} was not taken within {} s", PATIENCE.as_secs()))),
        Err(FilesError::Database(error)) => Err(error),
        Err(error) => Ok(told(false, error.to_string())),
    }
}

async fn taken(engine: &Engine, folder: Arc<Folder>) -> Result<Option<FileRow>, FilesError> {
    let (began, wait, dropped) = (Instant::now(), folder.every / 4, folder.dir.join(SAMPLE_NAME));
    let mut watcher = Watcher::new(engine, folder);
    while began.elapsed() < PATIENCE {
        let round = watcher.round().await?;
        if round.filed > 0 && !dropped.exists() {
            let filter = store::FileFilter { folder: Some(FOLDER.to_owned()), state: None };
            let newest = store::list(&engine.pool, &filter, None, 1).await?;
            return Ok(newest.into_iter().next());
        }
        tokio::time::sleep(wait).await;
    }
    Ok(None)
}

//! Orders as exchange files in a folder that LOGO's transfer tool empties.
//!
//! A file appears whole or not at all, and once: it is written beside its name, noted under `.kopru/`, and then renamed. What was
//! noted and does not lie there any more has been taken. A crash in between leaves the file beside its name, and the next look
//! finishes the renaming.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use kopru_sdk::{Fault, Outgoing, Sent, Taken};
use serde_json::Value;

use super::{slip, xml};
use crate::settings::OrderSettings;

/// Where the file of an order is, and what tells that it was there.
struct Places {
    dir: PathBuf,
    file: PathBuf,
    beside: PathBuf,
    note: PathBuf,
}

impl Places {
    fn of(dir: &Path, reference: &str) -> Places {
        Places {
            dir: dir.to_owned(),
            file: dir.join(format!("{reference}.xml")),
            beside: dir.join(format!(".{reference}.part")),
            note: dir.join(".kopru").join(reference),
        }
    }

    fn was_made(&self) -> bool {
        self.file.exists() || (self.note.exists() && !self.beside.exists())
    }

    fn make(&self, bytes: &[u8]) -> io::Result<()> {
        if self.was_made() {
            return Ok(());
        }
        if !self.dir.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the folder is not there"));
        }
        let mut file = File::create(&self.beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        if let Some(notes) = self.note.parent() {
            fs::create_dir_all(notes)?;
            File::create(&self.note)?.sync_all()?;
            File::open(notes)?.sync_all()?;
        }
        fs::rename(&self.beside, &self.file)?;
        File::open(&self.dir)?.sync_all()
    }
}

fn taken(reference: &str) -> Sent {
    let note = Some("LOGO's number comes when the file is in".to_owned());
    Sent::Done(Taken { external_id: reference.to_owned(), note, ..Taken::default() })
}

/// Whether the file of an order was there.
pub async fn find(dir: &Path, outgoing: &Outgoing<'_>) -> Result<Sent, Fault> {
    let (places, reference) = (Places::of(dir, outgoing.reference), outgoing.reference.to_owned());
    let made = blocking(dir, move || Ok(places.was_made())).await?;
    Ok(if made { taken(&reference) } else { Sent::Nothing })
}

pub async fn create(dir: &Path, settings: &OrderSettings, outgoing: &Outgoing<'_>) -> Result<Sent, Fault> {
    let Value::Object(body) = slip::order(outgoing, settings)? else {
        return Err(Fault::contract("the mapping of sales orders makes no document"));
    };
    let places = Places::of(dir, outgoing.reference);
    blocking(dir, move || places.make(&xml::sales_order(&body))).await?;
    Ok(taken(outgoing.reference))
}

/// A share that is away is a system that is down.
async fn blocking<T: Send + 'static>(
    dir: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.unwrap_or_else(|error| Err(io::Error::other(error.to_string())));
    done.map_err(|error| Fault::transient(format!("the folder {}: {error}", dir.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_once_however_often_it_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::of(dir.path(), "K7P2QX-1");
        assert!(!places.was_made());
        places.make(b"one").unwrap();
        assert_eq!(fs::read(dir.path().join("K7P2QX-1.xml")).unwrap(), b"one");
        assert!(places.was_made());
        // LOGO has taken it: it is not made again.
        fs::remove_file(&places.file).unwrap();
        assert!(places.was_made());
        places.make(b"two").unwrap();
        assert!(!places.file.exists());
    }

    #[test]
    fn what_a_crash_left_beside_its_name_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::of(dir.path(), "K7P2QX-2");
        fs::write(&places.beside, b"ha").unwrap();
        assert!(!places.was_made());
        fs::create_dir_all(places.note.parent().unwrap()).unwrap();
        fs::write(&places.note, b"").unwrap();
        assert!(!places.was_made(), "noted, and not there under its name yet");
        places.make(b"whole").unwrap();
        assert_eq!(fs::read(&places.file).unwrap(), b"whole");
        assert!(!places.beside.exists());
    }

    #[test]
    fn a_folder_that_is_away_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::of(&dir.path().join("away"), "K7P2QX-3");
        assert_eq!(places.make(b"x").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

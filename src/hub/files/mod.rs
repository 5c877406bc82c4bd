//! Watched folders: XML exchange files and CSV lists of any size, taken up once, checked whole, applied slice by slice.
//!
//! | module | subject |
//! | --- | --- |
//! | [`folder`] | what is watched: patterns, mappings, places |
//! | [`sightings`] | which files lie still, and who is still writing |
//! | [`survey`] | the first pass: is all of it sound, and how much is it |
//! | [`slices`] | the second pass: documents of up to a thousand records |
//! | [`apply`] | a slice in one transaction with the file's progress |
//! | [`shelf`] | done/ and failed/, and the report beside the file |
//! | [`watcher`] | rounds over one folder |
//! | [`recorded`] | a kept file, read as it would be taken |
//! | [`store`] | the rows |
//!
//! Invariants
//! - A file is moved into `work/` before it is read, so that another one under its name is another file.
//! - No record is applied before the whole file was found sound; a broken file is refused whole.
//! - Progress commits with each slice: whoever takes the file up again goes on behind the last one.
//! - Only the holder of the folder's lease writes; the lease's row fences each slice.
//! - A file leaves `work/` last, with its report beside it already. What keeps it there is told and tried again.
//!
//! Deliberately absent: what a record means (the mapping), and how it reaches the tables ([`super::intake`]).

mod apply;
pub mod folder;
pub mod recorded;
mod shelf;
pub mod sightings;
mod slices;
pub mod store;
mod survey;
pub mod watcher;

use std::{io, path::PathBuf};

use super::{engine::Engine, pages::ApplyError};
use crate::mapping::Effective;

pub use folder::{Folder, Take};
pub use store::{FileDetail, FileFailure, FileRow};
pub use watcher::{Round, Watcher, watch};

/// Why a file or a folder could not go on for now. Nothing is lost: the next round tries again.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("cannot {what} {}: {source}", path.display())]
    Disk { what: &'static str, path: PathBuf, source: io::Error },
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("{0}")]
    Apply(ApplyError),
    #[error("the mapping `{0}` is not in the library; put it there, or name another one in [files]")]
    UnknownMapping(String),
    #[error("the file was written to while it was read; it is read again when it lies still")]
    Changed,
    #[error("a slice of a sound file could not be read: {0}")]
    Slice(String),
    #[error("another process has taken the folder over")]
    LeaseLost,
    #[error("stopped; the next round goes on from where it was")]
    Stopped,
}

impl FilesError {
    fn disk(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> FilesError {
        let path = path.into();
        move |source| FilesError::Disk { what, path, source }
    }
}

impl From<ApplyError> for FilesError {
    fn from(error: ApplyError) -> FilesError {
        match error {
            ApplyError::LeaseLost => FilesError::LeaseLost,
            ApplyError::Database(error) => FilesError::Database(error),
            error => FilesError::Apply(error),
        }
    }
}

/// The mapping of this name that is in force for the folder's instance.
fn mapping_of(engine: &Engine, folder: &Folder, name: &str) -> Option<Effective> {
    engine.library.get_for(&folder.instance, name)
}

/// Runs what waits for a disk away from the tasks that must not wait.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(FilesError::Slice(format!("broken off by a bug of ours, the log has its trace: {error}"))),
    }
}

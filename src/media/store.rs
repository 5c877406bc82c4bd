//! Where pictures are kept.

use std::{io, path::Path as FilePath, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, local::LocalFileSystem, memory::InMemory, path::Path};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::picture::{BadPicture, Picture};

/// Under which address pictures are shown.
const ADDRESS: &str = "/media/";
/// Hexadecimal digits of a name.
const NAME: usize = 40;
/// Drawing takes a core and up to 160 MB.
const AT_ONCE: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    #[error(transparent)]
    Picture(#[from] BadPicture),
    #[error("the directory for pictures, {path}, cannot be made: {source}")]
    Directory { path: String, source: io::Error },
    #[error("pictures cannot be stored or read")]
    Store(#[from] object_store::Error),
    #[error("who refers to pictures could not be asked")]
    References(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("drawing the picture ended badly")]
    Drawing(#[from] tokio::task::JoinError),
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct MediaStore {
    store: Arc<dyn ObjectStore>,
    drawing: Arc<Semaphore>,
}

/// A picture as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub bytes: Bytes,
    pub content_type: &'static str,
}

impl MediaStore {
    /// Keeps pictures in a directory, which is made when it is missing.
    pub fn local(dir: &FilePath) -> Result<MediaStore, MediaError> {
        let failed = |source| MediaError::Directory { path: dir.display().to_string(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        Ok(MediaStore::over(Arc::new(LocalFileSystem::new_with_prefix(dir)?)))
    }

    /// Keeps them as long as the process lives.
    pub fn in_memory() -> MediaStore {
        MediaStore::over(Arc::new(InMemory::new()))
    }

    fn over(store: Arc<dyn ObjectStore>) -> MediaStore {
        MediaStore { store, drawing: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Judges, draws and keeps a picture; answers the address that it is shown under.
    pub async fn keep(&self, sent: Bytes) -> Result<String, MediaError> {
        let turn = self.drawing.acquire().await.ok();
        let picture = tokio::task::spawn_blocking(move || Picture::read(&sent)).await??;
        drop(turn);
        let hash = Sha256::digest(&picture.bytes);
        let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).take(NAME / 2).collect();
        let name = format!("{digits}.{}", picture.extension);
        self.store.put(&Path::from(name.as_str()), PutPayload::from(picture.bytes)).await?;
        Ok(format!("{ADDRESS}{name}"))
    }

    /// Names of the pictures that were last put here before then.
    pub(super) async fn kept_before(&self, then: DateTime<Utc>) -> Result<Vec<String>, MediaError> {
        let all = self.store.list_with_delimiter(None).await?.objects.into_iter();
        let old = all.filter(|kept| kept.last_modified < then).map(|kept| kept.location.to_string());
        Ok(old.filter(|name| content_type(name).is_some()).collect())
    }

    /// Removes the picture if it was last put here before then.
    pub(super) async fn remove(&self, name: &str, then: DateTime<Utc>) -> Result<bool, MediaError> {
        let path = Path::from(name);
        match self.store.head(&path).await {
            Ok(kept) if kept.last_modified < then => self.store.delete(&path).await?,
            Ok(_) | Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// The picture of this name; `None` when there is none.
    pub async fn find(&self, name: &str) -> Result<Option<Stored>, MediaError> {
        let Some(content_type) = content_type(name) else { return Ok(None) };
        match self.store.get(&Path::from(name)).await {
            Ok(found) => Ok(Some(Stored { bytes: found.bytes().await?, content_type })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Of a name that could be one of ours; no other name gets to the store.
fn content_type(name: &str) -> Option<&'static str> {
    let (digits, extension) = name.split_once('.')?;
    if digits.len() != NAME || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    match extension {
        "jpg" => Some("image/jpeg"),
        "png" => Some("image/png"),
        "webp" => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_get_to_the_store() {
        let digits = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(content_type(&format!("{digits}.png")), Some("image/png"));
        for name in ["", "..", "../../etc/passwd", "x.png", &format!("{digits}.svg"), &format!("{digits}.png.exe")] {
            assert_eq!(content_type(name), None, "{name}");
        }
    }
}

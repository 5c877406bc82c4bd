//! Pictures that nobody refers to any more.
//!
//! Invariants
//! - A picture that was uploaded after a moment long past is left alone, whoever refers to it: its row may still be written.
//!   An upload of the same picture is a new one.
//! - Which pictures somebody refers to is asked after the names are known, and the age of each is looked at again before it goes.

use std::{collections::HashSet, error::Error};

use chrono::{DateTime, Utc};

use super::{MediaError, MediaStore};

/// Names that are asked about at once.
const BATCH: usize = 1_000;

/// Removes what was kept before `then` and is not among the names that `in_use` answers, of those that it is asked about. Gives
/// how many.
pub async fn sweep<F, E>(
    store: &MediaStore,
    then: DateTime<Utc>,
    in_use: impl Fn(Vec<String>) -> F,
) -> Result<usize, MediaError>
where
    F: Future<Output = Result<HashSet<String>, E>>,
    E: Error + Send + Sync + 'static,
{
    let mut gone = 0;
    for names in store.kept_before(then).await?.chunks(BATCH) {
        let used = in_use(names.to_vec()).await.map_err(|error| MediaError::References(Box::new(error)))?;
        for name in names.iter().filter(|name| !used.contains(*name)) {
            gone += usize::from(store.remove(name, then).await?);
        }
    }
    Ok(gone)
}

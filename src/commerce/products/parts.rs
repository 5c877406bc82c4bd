//! The lists that hang on a product: its own units, its images. A changed list is replaced whole.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;

use super::{
    entry::Entry,
    queries::{self, Seen},
};
use crate::commerce::ownership::{Field, ProductField};

/// Which carried lists differ from the stored ones, as bits by product. The rows are locked first, so that the lists
/// cannot change between this look and the update.
pub(super) async fn compare(conn: &mut PgConnection, known: &[&Entry<'_>]) -> Result<HashMap<i64, i64>, sqlx::Error> {
    let mut changed = HashMap::new();
    if known.iter().all(|entry| entry.units.is_none() && entry.images.is_none()) {
        return Ok(changed);
    }
    queries::lock(conn, known).await?;
    if known.iter().any(|entry| entry.units.is_some()) {
        for id in queries::changed_units(conn, known).await? {
            *changed.entry(id).or_default() |= ProductField::Units.bit();
        }
    }
    if known.iter().any(|entry| entry.images.is_some()) {
        for id in queries::changed_images(conn, known).await? {
            *changed.entry(id).or_default() |= ProductField::Images.bit();
        }
    }
    Ok(changed)
}

/// Writes the lists of new products.
pub(super) async fn insert(conn: &mut PgConnection, new: &[&Entry<'_>]) -> Result<(), sqlx::Error> {
    queries::insert_units(conn, new).await?;
    queries::insert_images(conn, new).await
}

/// Writes the lists that the update found changed.
pub(super) async fn replace(conn: &mut PgConnection, known: &[&Entry<'_>], seen: &[Seen]) -> Result<(), sqlx::Error> {
    let with = |field: ProductField| -> HashSet<i64> {
        seen.iter().filter(|row| row.changed & field.bit() != 0).map(|row| row.id).collect()
    };
    let chosen = |ids: &HashSet<i64>| -> Vec<&Entry<'_>> {
        known.iter().copied().filter(|entry| ids.contains(&entry.id)).collect()
    };
    let units = with(ProductField::Units);
    if !units.is_empty() {
        queries::delete_units(conn, &units).await?;
        queries::insert_units(conn, &chosen(&units)).await?;
    }
    let images = with(ProductField::Images);
    if !images.is_empty() {
        queries::delete_images(conn, &images).await?;
        queries::insert_images(conn, &chosen(&images)).await?;
    }
    Ok(())
}

//! Stock levels: known by product and warehouse, not by a code of their own.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::{Resolved, fields::Fields};
use crate::{
    canonical::Entity,
    commerce::{
        CommandError, Outcome, WriteContext,
        stock::{StockUpsert, ids_by_place, places_by_id, upsert_stock},
    },
};

/// Existing levels of the same places.
pub(super) async fn existing_ids(
    db: &mut PgConnection,
    rows: &[Resolved<'_>],
) -> Result<Vec<(usize, i64)>, sqlx::Error> {
    let places: Vec<(i64, i64)> = rows.iter().map(place).collect();
    ids_by_place(db, &places).await
}

/// Product and warehouse of existing levels.
pub(super) async fn own_references(
    db: &mut PgConnection,
    ids: &[i64],
) -> Result<HashMap<i64, Vec<Option<i64>>>, sqlx::Error> {
    let entity = Entity::Stock;
    let known = places_by_id(db, ids).await?.into_iter().map(|(id, product, warehouse)| {
        let mut refs = vec![None; entity.fields().len()];
        for (name, reference) in [("product", product), ("warehouse", warehouse)] {
            if let Some(held) = entity.field(name).and_then(|place| refs.get_mut(place)) {
                *held = Some(reference);
            }
        }
        (id, refs)
    });
    Ok(known.collect())
}

pub(super) async fn upsert(
    db: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[Resolved<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    let rows: Vec<StockUpsert> = rows
        .iter()
        .map(|row| {
            let fields = Fields::of(row);
            let (product, warehouse) = place(row);
            StockUpsert {
                id: row.id,
                is_new: row.is_new,
                product,
                warehouse,
                quantity: fields.decimal("quantity"),
                on_hand: fields.decimal("onHand"),
                reserved: fields.decimal("reserved"),
                on_order: fields.decimal("onOrder"),
            }
        })
        .collect();
    upsert_stock(db, cx, &rows).await
}

/// Both references are required by the schema, so a row without one never comes here; 0 is nobody's id.
fn place(row: &Resolved<'_>) -> (i64, i64) {
    let fields = Fields::of(row);
    (fields.reference("product").value().unwrap_or(0), fields.reference("warehouse").value().unwrap_or(0))
}

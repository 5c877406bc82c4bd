//! The upsert of stock levels.

use std::collections::{HashMap, HashSet};

use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgConnection;

use super::queries;
use crate::{
    commerce::{
        CommandError, Outcome, Patch, WriteContext, Writer,
        check::{self, violation},
        claims,
        outcome::{Outcomes, Violation},
        ownership::{self, Field, Given, StockField},
    },
    money,
    outbox::{self, EventType, Events},
};

/// A stock level as a caller brings it; all figures may be negative.
#[derive(Debug, Clone, Copy, Default)]
pub struct StockUpsert {
    pub id: i64,
    pub is_new: bool,
    pub product: i64,
    pub warehouse: i64,
    /// What the source calls available.
    pub quantity: Patch<Decimal>,
    pub on_hand: Patch<Decimal>,
    pub reserved: Patch<Decimal>,
    pub on_order: Patch<Decimal>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) row: usize,
    pub(super) id: i64,
    pub(super) is_new: bool,
    pub(super) given: i64,
    pub(super) product: i64,
    pub(super) warehouse: i64,
    pub(super) quantity: Decimal,
    pub(super) on_hand: Option<Decimal>,
    pub(super) reserved: Option<Decimal>,
    pub(super) on_order: Option<Decimal>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload {
    id: i64,
    product_id: i64,
    warehouse_id: i64,
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    quantity: Decimal,
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    sellable: Decimal,
    revision: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<&'static str>>,
}

fn prepare(cx: &WriteContext<'_>, place: usize, row: &StockUpsert) -> Result<Entry, Violation> {
    let mut given = Given::new(cx.writer, row.is_new);
    let figure = |name, patch: Patch<Decimal>| patch.try_map(|value| check::signed(name, value, money::QUANTITY));
    let quantity = figure("quantity", row.quantity)?;
    if matches!(quantity, Patch::Clear) || (row.is_new && quantity.is_keep()) {
        return Err(check::required("quantity"));
    }
    Ok(Entry {
        row: place,
        id: row.id,
        is_new: row.is_new,
        product: row.product,
        warehouse: row.warehouse,
        quantity: given.defaulted(StockField::Quantity, quantity, Decimal::ZERO),
        on_hand: given.optional(StockField::OnHand, figure("onHand", row.on_hand)?),
        reserved: given.optional(StockField::Reserved, figure("reserved", row.reserved)?),
        on_order: given.optional(StockField::OnOrder, figure("onOrder", row.on_order)?),
        given: given.mask(),
    })
}

/// Creates and changes stock levels; see [`crate::commerce`] for what every upsert does.
pub async fn upsert_stock(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[StockUpsert],
) -> Result<Vec<Outcome>, CommandError> {
    let mut outcomes = Outcomes::new(rows.len());
    let mut entries = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        match prepare(cx, place, row) {
            Ok(entry) => entries.push(entry),
            Err(violation) => outcomes.refuse(place, violation),
        }
    }
    let entries = settle_places(conn, entries, &mut outcomes).await?;
    let (new, known): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.is_new);

    let mut events = Events::new(EventType::StockChanged, entries.len());
    if !new.is_empty() {
        queries::insert(conn, cx, &new).await?;
        for entry in new {
            outcomes.set(entry.row, Outcome::Created);
            events.push(entry.id, 1, &payload(entry, 1, None))?;
        }
    }
    if !known.is_empty() {
        let reason = match cx.writer {
            Writer::Source => "source",
            Writer::Person => "correction",
        };
        let by_row: HashMap<usize, &Entry> = known.iter().map(|entry| (entry.row, *entry)).collect();
        for seen in queries::update(conn, cx, &known, reason).await? {
            let place = seen.place as usize;
            let Some(entry) = by_row.get(&place) else { continue };
            if !seen.same_place {
                let other =
                    violation("product", "immutable", entry.product, "and warehouse of a stock level never change");
                outcomes.refuse(place, other);
                continue;
            }
            outcomes.set(place, if seen.changed == 0 { Outcome::Unchanged } else { Outcome::Updated });
            if seen.changed & StockField::Quantity.bit() != 0 {
                let changed = ownership::names::<StockField>(seen.changed);
                events.push(entry.id, seen.revision + 1, &payload(entry, seen.revision + 1, Some(changed)))?;
            }
        }
    }
    outbox::append(conn, &cx.by, &events).await?;
    Ok(outcomes.finish())
}

fn payload(entry: &Entry, revision: i64, changed: Option<Vec<&'static str>>) -> Payload {
    told((entry.id, entry.product, entry.warehouse), entry.quantity, revision, changed)
}

/// What `stock.changed` tells of a level: its id, product and warehouse.
pub(super) fn told(
    (id, product_id, warehouse_id): (i64, i64, i64),
    quantity: Decimal,
    revision: i64,
    changed: Option<Vec<&'static str>>,
) -> Payload {
    Payload { id, product_id, warehouse_id, quantity, sellable: quantity.max(Decimal::ZERO), revision, changed }
}

/// Refuses a second level for a product and warehouse.
async fn settle_places(
    conn: &mut PgConnection,
    entries: Vec<Entry>,
    outcomes: &mut Outcomes,
) -> Result<Vec<Entry>, CommandError> {
    let new: Vec<(i64, i64)> =
        entries.iter().filter(|entry| entry.is_new).map(|entry| (entry.product, entry.warehouse)).collect();
    if new.is_empty() {
        return Ok(entries);
    }
    let mut taken: HashSet<(i64, i64)> =
        queries::ids_by_place(conn, &new).await?.into_iter().map(|(place, _)| new[place]).collect();
    let mut refused = HashMap::new();
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.is_new) {
        if !taken.insert((entry.product, entry.warehouse)) {
            let why = "has a stock level in this warehouse already";
            refused.insert(index, violation("product", "unique", entry.product, why));
        }
    }
    Ok(claims::drop_refused(entries, refused, |entry| entry.row, outcomes))
}

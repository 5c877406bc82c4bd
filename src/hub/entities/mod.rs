//! From a canonical change with its references resolved to the command of its entity. One file an entity where its row
//! needs more than a name; nothing here decides anything.

mod customer;
mod fields;
mod invoice;
mod ledger;
mod order;
mod price;
mod product;
mod stock;

use std::collections::HashMap;

use sqlx::PgConnection;

use self::fields::Fields;
use crate::{
    canonical::{Change, Entity},
    commerce::{
        CodeListUpsert, CommandError, Outcome, Violation, WriteContext, account, brands, categories, customers,
        invoices, price_lists, prices, products, stock as stock_levels, unit_sets, warehouses,
    },
};

/// A change whose internal id and references are known.
#[derive(Debug, Clone, Copy)]
pub struct Resolved<'a> {
    pub id: i64,
    pub is_new: bool,
    pub change: &'a Change<'a>,
    /// Internal ids in the places of the reference fields; empty when the entity has none.
    pub refs: &'a [Option<i64>],
}

/// Ids for records that are to be created.
pub async fn allocate_ids(db: &mut PgConnection, entity: Entity, count: usize) -> Result<Vec<i64>, sqlx::Error> {
    if count == 0 {
        return Ok(Vec::new());
    }
    match entity {
        Entity::Category => categories::allocate_ids(db, count).await,
        Entity::Brand => brands::allocate_ids(db, count).await,
        Entity::UnitSet => unit_sets::allocate_ids(db, count).await,
        Entity::Warehouse => warehouses::allocate_ids(db, count).await,
        Entity::PriceList => price_lists::allocate_ids(db, count).await,
        Entity::Product => products::allocate_ids(db, count).await,
        Entity::Price => prices::allocate_ids(db, count).await,
        Entity::Stock => stock_levels::allocate_ids(db, count).await,
        Entity::Customer => customers::allocate_ids(db, count).await,
        Entity::Invoice => invoices::allocate_ids(db, count).await,
        Entity::Ledger => account::allocate_ids(db, count).await,
        // See `is_only_linked`.
        Entity::Order => Ok(Vec::new()),
    }
}

/// Whether records of an entity come in by a link alone, which was made when theirs was sent; a system's others are none of ours.
pub const fn is_only_linked(entity: Entity) -> bool {
    matches!(entity, Entity::Order)
}

/// Whether an existing record is found by its references instead of its code.
pub const fn known_by_references(entity: Entity) -> bool {
    matches!(entity, Entity::Stock)
}

/// Whether records of an entity belong to one of another, whose code is in theirs.
pub const fn is_of_another(entity: Entity) -> bool {
    matches!(entity, Entity::Stock | Entity::Price)
}

/// Existing records that the rows mean (of another instance, or made by a person), in the order of `rows`.
pub async fn existing_ids(
    db: &mut PgConnection,
    entity: Entity,
    rows: &[Resolved<'_>],
) -> Result<Vec<Option<i64>>, sqlx::Error> {
    let codes: Vec<&str> = rows.iter().map(|row| row.change.code.as_ref()).collect();
    let found = match entity {
        Entity::Category => categories::ids_by_code(db, &codes).await,
        Entity::Brand => brands::ids_by_code(db, &codes).await,
        Entity::UnitSet => unit_sets::ids_by_code(db, &codes).await,
        Entity::Warehouse => warehouses::ids_by_code(db, &codes).await,
        Entity::PriceList => price_lists::ids_by_code(db, &codes).await,
        Entity::Product => products::ids_by_code(db, &codes).await,
        Entity::Price => prices::ids_by_code(db, &codes).await,
        Entity::Customer => customers::ids_by_code(db, &codes).await,
        Entity::Stock => stock::existing_ids(db, rows).await,
        // Documents are known by their source alone, and the link says so.
        Entity::Order | Entity::Invoice | Entity::Ledger => Ok(Vec::new()),
    }?;
    let mut ids = vec![None; rows.len()];
    for (place, id) in found {
        ids[place] = Some(id);
    }
    Ok(ids)
}

/// The references by which existing records of an entity are known, by internal id, in the places of its fields; none for
/// entities that are known by a code.
pub async fn own_references(
    db: &mut PgConnection,
    entity: Entity,
    ids: &[i64],
) -> Result<HashMap<i64, Vec<Option<i64>>>, sqlx::Error> {
    match entity {
        Entity::Stock => stock::own_references(db, ids).await,
        _ => Ok(HashMap::new()),
    }
}

/// Hands rows to the command of their entity.
pub async fn upsert(
    db: &mut PgConnection,
    entity: Entity,
    cx: &WriteContext<'_>,
    rows: &[Resolved<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    match entity {
        Entity::Category => {
            let rows: Vec<_> = rows
                .iter()
                .map(|row| {
                    let fields = Fields::of(row);
                    categories::CategoryUpsert {
                        id: row.id,
                        is_new: row.is_new,
                        code: row.change.code.as_ref(),
                        name: fields.text("name"),
                        parent: fields.reference("parent"),
                        is_active: fields.flag("isActive"),
                    }
                })
                .collect();
            categories::upsert_categories(db, cx, &rows).await
        }
        Entity::UnitSet => {
            let rows: Vec<_> = rows
                .iter()
                .map(|row| {
                    let fields = Fields::of(row);
                    unit_sets::UnitSetUpsert {
                        id: row.id,
                        is_new: row.is_new,
                        code: row.change.code.as_ref(),
                        name: fields.text("name"),
                        units: fields.units("units"),
                    }
                })
                .collect();
            unit_sets::upsert_unit_sets(db, cx, &rows).await
        }
        Entity::Brand => brands::upsert_brands(db, cx, &code_list(rows)).await,
        Entity::Warehouse => warehouses::upsert_warehouses(db, cx, &code_list(rows)).await,
        Entity::PriceList => price_lists::upsert_price_lists(db, cx, &code_list(rows)).await,
        Entity::Product => product::upsert(db, cx, rows).await,
        Entity::Price => price::upsert(db, cx, rows).await,
        Entity::Stock => stock::upsert(db, cx, rows).await,
        Entity::Customer => customer::upsert(db, cx, rows).await,
        Entity::Order => order::upsert(db, cx, rows).await,
        Entity::Invoice => invoice::upsert(db, cx, rows).await,
        Entity::Ledger => ledger::upsert(db, cx, rows).await,
    }
}

/// A word that is none of a field's.
fn unknown_word(field: &'static str, word: &str) -> Outcome {
    refused(field, "unknown_value", word, "is none of the words that this field knows")
}

fn refused(field: &'static str, rule: &'static str, value: &str, why: &str) -> Outcome {
    let value: String = value.chars().take(100).collect();
    Outcome::Refused(Violation { field, rule, detail: format!("{field} {value} {why}"), value: Some(value) })
}

fn code_list<'a>(rows: &[Resolved<'a>]) -> Vec<CodeListUpsert<'a>> {
    rows.iter()
        .map(|row| {
            let fields = Fields::of(row);
            CodeListUpsert {
                id: row.id,
                is_new: row.is_new,
                code: row.change.code.as_ref(),
                name: fields.text("name"),
                is_active: fields.flag("isActive"),
            }
        })
        .collect()
}

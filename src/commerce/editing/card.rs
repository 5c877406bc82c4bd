//! A product's card.

use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::{EditError, Edited, accepted, difference, record};
use crate::{
    canonical::Entity,
    commerce::{
        Patch, WriteContext, brands, categories,
        check::{required, violation},
        ownership::{Field, Owner, ProductField},
        products::{self, ProductUpsert},
        snapshots,
    },
    outbox::Provenance,
};

/// The card as a person sends it: references are codes. `upsert` says the rest; its id, code and references are not looked
/// at.
#[derive(Debug, Clone, Default)]
pub struct Card<'a> {
    pub category: Patch<&'a str>,
    pub brand: Patch<&'a str>,
    pub upsert: ProductUpsert<'a>,
}

/// The product that an edit is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub id: i64,
    pub is_new: bool,
    /// The code that it is to have.
    pub code: String,
}

/// Finds the product by its id or else by its code; a code that nobody has is a new product's.
pub async fn target(conn: &mut PgConnection, id: Option<i64>, code: Option<&str>) -> Result<Target, EditError> {
    let code = code.map(|code| code.trim_end_matches(' ')).filter(|code| !code.is_empty());
    if code.is_some_and(|code| code.contains('\0')) {
        return Err(violation("code", "control_character", "", "holds a NUL character").into());
    }
    if let Some(id) = id {
        let stored = products::code_of(conn, id).await?.ok_or(EditError::UnknownProduct)?;
        return Ok(Target { id, is_new: false, code: code.map_or(stored, str::to_owned) });
    }
    let code = code.ok_or_else(|| required("code"))?;
    let known = products::ids_by_code(conn, &[code]).await?;
    let (id, is_new) = match known.first() {
        Some((_, id)) => (*id, false),
        None => (products::allocate_ids(conn, 1).await?.into_iter().next().unwrap_or_default(), true),
    };
    Ok(Target { id, is_new, code: code.to_owned() })
}

/// Creates or changes the card. `owner` is the instance that the product comes from, if it comes from one.
pub async fn save_card(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    target: &Target,
    card: Card<'_>,
    owner: Option<&str>,
) -> Result<Edited, EditError> {
    let before = snapshot(conn, target.id).await?;
    let upsert = ProductUpsert {
        id: target.id,
        is_new: target.is_new,
        code: &target.code,
        category: reference(
            card.category,
            "categoryCode",
            categories::ids_by_code(conn, &given(card.category)).await?,
        )?,
        brand: reference(card.brand, "brandCode", brands::ids_by_code(conn, &given(card.brand)).await?)?,
        ..card.upsert
    };
    let revives = matches!(upsert.is_active, Patch::Set(true));
    accepted(products::upsert_products(conn, &WriteContext::person(*by), &[upsert]).await?)?;
    let revived = revives && !target.is_new && products::set_deleted(conn, by, target.id, &target.code, false).await?;
    let (mut was, mut is) = difference(&before, &snapshot(conn, target.id).await?);
    if let Some(owner) = owner {
        refuse_owned(is.keys(), owner)?;
    }
    if revived {
        was.insert("deleted".to_owned(), Value::Bool(true));
        is.insert("deleted".to_owned(), Value::Bool(false));
    }
    let changed: Vec<String> = is.keys().cloned().collect();
    if !changed.is_empty() {
        let action = if target.is_new { "product.created" } else { "product.edited" };
        record(conn, by, action, target.id, was, is).await?;
    }
    Ok(Edited { id: target.id, is_new: target.is_new, changed })
}

/// Takes the product out of the catalogue. It keeps its history, and no source brings it back.
pub async fn delete_product(conn: &mut PgConnection, by: &Provenance<'_>, id: i64) -> Result<bool, EditError> {
    let code = products::code_of(conn, id).await?.ok_or(EditError::UnknownProduct)?;
    let deleted = products::set_deleted(conn, by, id, &code, true).await?;
    if deleted {
        let state = |deleted: bool| Map::from_iter([("deleted".to_owned(), Value::Bool(deleted))]);
        record(conn, by, "product.deleted", id, state(false), state(true)).await?;
    }
    Ok(deleted)
}

async fn snapshot(conn: &mut PgConnection, id: i64) -> Result<Map<String, Value>, sqlx::Error> {
    Ok(snapshots(conn, Entity::Product, &[id]).await?.remove(&id).unwrap_or_default())
}

/// A code that the store could not even look for is left out, and found to be missing.
fn given(code: Patch<&str>) -> Vec<&str> {
    code.value().filter(|code| !code.contains('\0')).into_iter().collect()
}

fn reference(code: Patch<&str>, field: &'static str, found: Vec<(usize, i64)>) -> Result<Patch<i64>, EditError> {
    code.try_map(|code| match found.first() {
        Some((_, id)) => Ok(*id),
        None => Err(violation(field, "missing_reference", code.replace('\0', "\u{2400}"), "does not exist").into()),
    })
}

/// The value of an override as it is stored: of a reference its id in place of its code.
pub(super) async fn reference_of(
    conn: &mut PgConnection,
    field: ProductField,
    value: &Value,
) -> Result<Value, EditError> {
    let code = match value {
        Value::String(code) => Patch::Set(code.as_str()),
        _ => return Ok(value.clone()),
    };
    let id = match field {
        ProductField::Category => {
            reference(code, "categoryCode", categories::ids_by_code(conn, &given(code)).await?)?.value()
        }
        ProductField::Brand => reference(code, "brandCode", brands::ids_by_code(conn, &given(code)).await?)?.value(),
        _ => return Ok(value.clone()),
    };
    Ok(id.into())
}

fn refuse_owned<'a>(changed: impl Iterator<Item = &'a String>, owner: &str) -> Result<(), EditError> {
    let owned =
        |name: &str| ProductField::ALL.iter().any(|field| field.name() == name && field.owner() == Owner::Source);
    let fields: Vec<String> = changed.filter(|name| owned(name)).cloned().collect();
    if fields.is_empty() { Ok(()) } else { Err(EditError::SourceOwned { fields, owner: owner.to_owned() }) }
}

//! A person's word against the source of a product, field by field, until it is taken back.

use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::{EditError, accepted, card::reference_of, record};
use crate::{
    commerce::{
        WriteContext,
        check::{required, text, violation},
        ownership::{Field, ProductField},
        products::{self, OVERRIDABLE, Override},
    },
    outbox::Provenance,
};

/// What is to hold, and why. References are codes.
#[derive(Debug, Clone, Copy)]
pub struct NewOverride<'a> {
    /// By its canonical name.
    pub field: &'a str,
    pub value: &'a Value,
    pub reason: &'a str,
}

/// Makes a field hold a person's value, whatever the source says from now on. `owner` is the instance that the product comes
/// from: of one that comes from nowhere there is nothing to hold. Answers whether anything is different now.
pub async fn set_override(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    product_id: i64,
    new: &NewOverride<'_>,
    owner: Option<&str>,
) -> Result<bool, EditError> {
    let code = products::lock_code(conn, product_id).await?.ok_or(EditError::UnknownProduct)?;
    let field = overridable(new.field)?;
    let reason = text("reason", new.reason.trim(), 500)?;
    if reason.is_empty() {
        return Err(required("reason").into());
    }
    if owner.is_none() {
        return Err(EditError::NoSource);
    }
    let value = reference_of(conn, field, new.value).await?;
    let before = products::stored_value(conn, product_id, field).await?;
    write(conn, by, product_id, &code, field, &value).await?;
    let entry = Override {
        field: field.name().to_owned(),
        // As the store holds it: trimmed, rounded, a default in place of nothing.
        value: products::stored_value(conn, product_id, field).await?,
        source_value: before.clone(),
        reason: reason.to_owned(),
        created_at: by.now,
        created_by: by.origin.to_owned(),
    };
    let changed = products::put_override(conn, product_id, field, &entry).await?;
    if changed {
        let was = Map::from_iter([(entry.field.clone(), before)]);
        let is = Map::from_iter([(entry.field, entry.value), ("reason".to_owned(), reason.into())]);
        record(conn, by, "product.override_set", product_id, was, is).await?;
    }
    Ok(changed)
}

/// Takes it away: the field is what the source said last. Answers whether there was one.
pub async fn remove_override(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    product_id: i64,
    field: &str,
) -> Result<bool, EditError> {
    let code = products::lock_code(conn, product_id).await?.ok_or(EditError::UnknownProduct)?;
    let field = overridable(field)?;
    let before = products::stored_value(conn, product_id, field).await?;
    let Some(source_value) = products::take_override(conn, product_id, field).await? else { return Ok(false) };
    write(conn, by, product_id, &code, field, &source_value).await?;
    let of = |value: Value| Map::from_iter([(field.name().to_owned(), value)]);
    record(conn, by, "product.override_removed", product_id, of(before), of(source_value)).await?;
    Ok(true)
}

fn overridable(name: &str) -> Result<ProductField, EditError> {
    let found = OVERRIDABLE.iter().find(|field| field.name() == name);
    found.copied().ok_or_else(|| violation("field", "unknown_value", name, "cannot be overridden").into())
}

async fn write(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    product_id: i64,
    code: &str,
    field: ProductField,
    value: &Value,
) -> Result<(), EditError> {
    let json = value.to_string();
    let row = products::ProductUpsert { id: product_id, code, ..products::override_row(field, value, &json)? };
    accepted(products::upsert_products(conn, &WriteContext::person(*by), &[row]).await?)
}

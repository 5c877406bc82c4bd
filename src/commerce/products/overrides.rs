//! What a person holds against a product's source, and what the source says meanwhile.
//!
//! A value is JSON: texts and flags as they are, decimals as texts, whole numbers and ids of references as numbers, `null` for
//! what is empty. It is read and written in this form here alone.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};

use super::{
    entry::{Entry, ProductUpsert},
    queries::Seen,
};
use crate::commerce::{
    Patch,
    check::violation,
    outcome::Violation,
    ownership::{Field, ProductField as F},
};

/// The fields that may have one. Not code and SKU, by which a product is known, and not its units, in which stock and prices
/// are told.
pub(crate) const OVERRIDABLE: &[F] = &[
    F::Name,
    F::Category,
    F::Brand,
    F::Barcode,
    F::VatRate,
    F::IsActive,
    F::TrackStock,
    F::RequiresSerialNumber,
    F::ProductTypeCode,
    F::WarrantyMonths,
    F::Weight,
    F::WeightUnit,
    F::MinimumOrderQuantity,
    F::OrderMultiple,
    F::VariantGroup,
    F::Options,
];

/// An override as it is shown; references are codes.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// By its canonical name.
    pub field: String,
    pub value: Value,
    pub source_value: Value,
    pub reason: String,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
}

/// The overrides of a product, by field.
pub async fn overrides_of<'e>(db: impl PgExecutor<'e>, product_id: i64) -> Result<Vec<Override>, sqlx::Error> {
    sqlx::query_as!(
        Override,
        r#"
        select o.field, o.reason, o.created_at, o.created_by,
               case o.field
                   when 'category' then
                       coalesce((select to_jsonb(c.code) from commerce.category c where to_jsonb(c.id) = o.value), 'null')
                   when 'brand' then
                       coalesce((select to_jsonb(b.code) from commerce.brand b where to_jsonb(b.id) = o.value), 'null')
                   else o.value
               end as "value!: Value",
               case o.field
                   when 'category' then coalesce(
                       (select to_jsonb(c.code) from commerce.category c where to_jsonb(c.id) = o.source_value), 'null')
                   when 'brand' then coalesce(
                       (select to_jsonb(b.code) from commerce.brand b where to_jsonb(b.id) = o.source_value), 'null')
                   else o.source_value
               end as "source_value!: Value"
        from commerce.product_override o
        where o.product_id = $1
        order by o.field
        "#,
        product_id,
    )
    .fetch_all(db)
    .await
}

/// Notes what the source says of fields that are held. Nothing is asked for a page without any.
pub(super) async fn keep_aside(
    conn: &mut PgConnection,
    known: &[&Entry<'_>],
    seen: &[Seen],
) -> Result<(), sqlx::Error> {
    if seen.iter().all(|row| row.held == 0) {
        return Ok(());
    }
    let (mut ids, mut fields, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for row in seen.iter().filter(|row| row.held != 0) {
        let Some(entry) = known.iter().find(|entry| entry.id == row.id) else { continue };
        for field in OVERRIDABLE.iter().filter(|field| row.held & field.bit() != 0) {
            ids.push(row.id);
            fields.push(field.name());
            values.push(said(entry, *field));
        }
    }
    sqlx::query!(
        "update commerce.product_override o set source_value = i.value
         from unnest($1::bigint[], $2::text[], $3::jsonb[]) as i (id, field, value)
         where o.product_id = i.id and o.field = i.field and o.source_value <> i.value",
        &ids,
        &fields as _,
        &values,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes an override down; who has one already keeps what the source says. The row of the product is locked. Answers whether
/// anything is different now.
pub(crate) async fn put_override(
    conn: &mut PgConnection,
    product_id: i64,
    field: F,
    entry: &Override,
) -> Result<bool, sqlx::Error> {
    let put = sqlx::query!(
        "insert into commerce.product_override as o
             (product_id, field, value, source_value, reason, created_at, created_by)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (product_id, field) do update
             set value = excluded.value, reason = excluded.reason, created_at = excluded.created_at,
                 created_by = excluded.created_by
             where (o.value, o.reason) <> (excluded.value, excluded.reason)",
        product_id,
        field.name(),
        entry.value,
        entry.source_value,
        entry.reason,
        entry.created_at,
        entry.created_by,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update commerce.product set overridden = overridden | $2 where id = $1 and overridden & $2 = 0",
        product_id,
        field.bit(),
    )
    .execute(conn)
    .await?;
    Ok(put.rows_affected() > 0)
}

/// Takes an override away, and answers what the source says; `None`: there was none.
pub(crate) async fn take_override(
    conn: &mut PgConnection,
    product_id: i64,
    field: F,
) -> Result<Option<Value>, sqlx::Error> {
    let source_value = sqlx::query_scalar!(
        "delete from commerce.product_override where product_id = $1 and field = $2 returning source_value",
        product_id,
        field.name(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    if source_value.is_some() {
        let bit = field.bit();
        sqlx::query!(
            "update commerce.product set overridden = overridden & ~$2::bigint where id = $1",
            product_id,
            bit
        )
        .execute(conn)
        .await?;
    }
    Ok(source_value)
}

/// What the store holds in a field now.
pub(crate) async fn stored_value(conn: &mut PgConnection, product_id: i64, field: F) -> Result<Value, sqlx::Error> {
    let row = sqlx::query_scalar!(
        r#"select jsonb_build_object(
               'name', name, 'category', category_id, 'brand', brand_id, 'barcode', barcode,
               'vatRate', trim_scale(vat_rate)::text, 'isActive', is_active, 'trackStock', track_stock,
               'requiresSerialNumber', requires_serial_number, 'productTypeCode', product_type_code,
               'warrantyMonths', warranty_months, 'weight', trim_scale(weight)::text, 'weightUnit', weight_unit,
               'minimumOrderQuantity', trim_scale(minimum_order_quantity)::text,
               'orderMultiple', trim_scale(order_multiple)::text, 'variantGroup', variant_group, 'options', options)
               as "row!"
           from commerce.product where id = $1"#,
        product_id,
    )
    .fetch_one(conn)
    .await?;
    Ok(row.get(field.name()).cloned().unwrap_or_default())
}

/// What a row says of a field that it carries.
fn said(entry: &Entry<'_>, field: F) -> Value {
    let text = |text: Option<&str>| text.map_or(Value::Null, Value::from);
    let decimal = |figure: Option<Decimal>| figure.map_or(Value::Null, |figure| figure.normalize().to_string().into());
    match field {
        F::Name => text(entry.name),
        F::Category => entry.category.into(),
        F::Brand => entry.brand.into(),
        F::Barcode => text(entry.barcode),
        F::VatRate => decimal(entry.vat_rate),
        F::IsActive => entry.is_active.into(),
        F::TrackStock => entry.track_stock.into(),
        F::RequiresSerialNumber => entry.requires_serial_number.into(),
        F::ProductTypeCode => text(entry.product_type_code),
        F::WarrantyMonths => entry.warranty_months.into(),
        F::Weight => decimal(entry.weight),
        F::WeightUnit => text(entry.weight_unit),
        F::MinimumOrderQuantity => decimal(entry.minimum_order_quantity),
        F::OrderMultiple => decimal(entry.order_multiple),
        F::VariantGroup => text(entry.variant_group),
        F::Options => entry.options.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default(),
        _ => Value::Null,
    }
}

/// The row that says this of the field and nothing else. `json` is `value` written down.
pub(crate) fn override_row<'a>(field: F, value: &'a Value, json: &'a str) -> Result<ProductUpsert<'a>, Violation> {
    let name = field.name();
    let wrong = |what: &str| violation(name, "format", json, what);
    let text = || match value {
        Value::Null => Ok(Patch::Clear),
        Value::String(text) => Ok(Patch::Set(text.as_str())),
        _ => Err(wrong("must be a text")),
    };
    let flag = || match value {
        Value::Bool(flag) => Ok(Patch::Set(*flag)),
        _ => Err(wrong("must be true or false")),
    };
    let whole = || match value {
        Value::Null => Ok(Patch::Clear),
        other => other.as_i64().map(Patch::Set).ok_or_else(|| wrong("must be a whole number")),
    };
    let decimal = || {
        let written = match value {
            Value::Null => return Ok(Patch::Clear),
            Value::String(text) => text.parse::<Decimal>(),
            Value::Number(number) => number.to_string().parse::<Decimal>(),
            _ => return Err(wrong("must be a number")),
        };
        written.map(Patch::Set).map_err(|_| wrong("must be a number"))
    };
    let none = ProductUpsert::default();
    Ok(match field {
        F::Name => ProductUpsert { name: text()?, ..none },
        F::Category => ProductUpsert { category: whole()?, ..none },
        F::Brand => ProductUpsert { brand: whole()?, ..none },
        F::Barcode => ProductUpsert { barcode: text()?, ..none },
        F::VatRate => ProductUpsert { vat_rate: decimal()?, ..none },
        F::IsActive => ProductUpsert { is_active: flag()?, ..none },
        F::TrackStock => ProductUpsert { track_stock: flag()?, ..none },
        F::RequiresSerialNumber => ProductUpsert { requires_serial_number: flag()?, ..none },
        F::ProductTypeCode => ProductUpsert { product_type_code: text()?, ..none },
        F::WarrantyMonths => ProductUpsert { warranty_months: whole()?, ..none },
        F::Weight => ProductUpsert { weight: decimal()?, ..none },
        F::WeightUnit => ProductUpsert { weight_unit: text()?, ..none },
        F::MinimumOrderQuantity => ProductUpsert { minimum_order_quantity: decimal()?, ..none },
        F::OrderMultiple => ProductUpsert { order_multiple: decimal()?, ..none },
        F::VariantGroup => ProductUpsert { variant_group: text()?, ..none },
        F::Options => match value {
            Value::Null => ProductUpsert { options: Patch::Clear, ..none },
            Value::Object(_) => ProductUpsert { options: Patch::Set(json), ..none },
            _ => return Err(wrong("must be an object")),
        },
        _ => return Err(violation(name, "unknown_value", json, "cannot be overridden")),
    })
}

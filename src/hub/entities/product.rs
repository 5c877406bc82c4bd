//! Products.

use sqlx::PgConnection;

use super::{Resolved, fields::Fields};
use crate::commerce::{
    CommandError, Outcome, Patch, WriteContext,
    products::{ImageLine, ProductUpsert, upsert_products},
};

pub(super) async fn upsert(
    db: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[Resolved<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    let rows: Vec<ProductUpsert<'_>> = rows.iter().map(product).collect();
    upsert_products(db, cx, &rows).await
}

/// Without one the code stands in; a known product keeps the one that it has.
fn sku<'a>(row: &Resolved<'a>, given: Patch<&'a str>) -> Patch<&'a str> {
    match given {
        Patch::Keep if !row.is_new => Patch::Keep,
        Patch::Keep | Patch::Clear => Patch::Set(row.change.code.as_ref()),
        given @ Patch::Set(_) => given,
    }
}

fn product<'a>(row: &Resolved<'a>) -> ProductUpsert<'a> {
    let fields = Fields::of(row);
    ProductUpsert {
        id: row.id,
        is_new: row.is_new,
        code: row.change.code.as_ref(),
        sku: sku(row, fields.text("sku")),
        name: fields.text("name"),
        slug: Patch::Keep,
        category: fields.reference("category"),
        brand: fields.reference("brand"),
        unit_set: fields.reference("unitSet"),
        unit: fields.text("unit"),
        barcode: fields.text("barcode"),
        vat_rate: fields.decimal("vatRate"),
        is_active: fields.flag("isActive"),
        track_stock: fields.flag("trackStock"),
        is_featured: fields.flag("isFeatured"),
        requires_serial_number: fields.flag("requiresSerialNumber"),
        product_type_code: fields.text("productTypeCode"),
        warranty_months: fields.int("warrantyMonths"),
        weight: fields.decimal("weight"),
        weight_unit: fields.text("weightUnit"),
        minimum_order_quantity: fields.decimal("minimumOrderQuantity"),
        order_multiple: fields.decimal("orderMultiple"),
        variant_group: fields.text("variantGroup"),
        options: fields.text("options"),
        attributes: fields.text("attributes"),
        short_description: fields.text("shortDescription"),
        description: fields.text("description"),
        units: fields.units("units"),
        images: fields
            .list("images", |image| ImageLine { url: image.text("url").unwrap_or_default(), alt: image.text("alt") }),
    }
}

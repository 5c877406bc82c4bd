//! Price rows.

use sqlx::PgConnection;

use super::{Resolved, fields::Fields};
use crate::commerce::{
    CommandError, Outcome, Patch, WriteContext,
    prices::{PriceUpsert, upsert_prices},
};

pub(super) async fn upsert(
    db: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[Resolved<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    let rows: Vec<PriceUpsert<'_>> = rows.iter().map(price).collect();
    upsert_prices(db, cx, &rows).await
}

fn price<'a>(row: &Resolved<'a>) -> PriceUpsert<'a> {
    let fields = Fields::of(row);
    PriceUpsert {
        id: row.id,
        is_new: row.is_new,
        code: row.change.code.as_ref(),
        product: fields.reference("product"),
        role: fields.text("role"),
        amount: fields.decimal("amount"),
        // A source that names none means the firm's own; a known price keeps the one that it has.
        currency: match fields.text("currency") {
            Patch::Keep if row.is_new => Patch::Set("TRY"),
            named => named,
        },
        unit: fields.text("unit"),
        vat_included: fields.flag("vatIncluded"),
        min_quantity: fields.decimal("minQuantity"),
        priority: fields.int("priority"),
        valid_from: fields.date("validFrom"),
        valid_to: fields.date("validTo"),
        customer: fields.reference("customer"),
        customer_pattern: fields.text("customerPattern"),
        price_list: fields.reference("priceList"),
        tier: fields.text("tier"),
        is_active: fields.flag("isActive"),
    }
}

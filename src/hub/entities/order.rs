//! Orders of ours as an ERP has them.

use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::{Resolved, fields::Fields};
use crate::commerce::{
    CommandError, Outcome, WriteContext,
    orders::source::{SourceLine, SourceOrder, upsert_orders},
};

pub(super) async fn upsert(
    db: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[Resolved<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    let rows: Vec<SourceOrder<'_>> = rows.iter().map(order).collect();
    upsert_orders(db, cx, &rows).await
}

fn order<'a>(row: &Resolved<'a>) -> SourceOrder<'a> {
    let fields = Fields::of(row);
    let lines = fields.list("lines", |line| SourceLine {
        external_id: line.text("externalId").unwrap_or_default(),
        code: line.text("product").unwrap_or_default(),
        is_service: line.flag("isService").unwrap_or(false),
        unit: line.text("unit"),
        quantity: line.decimal("quantity").unwrap_or(Decimal::ZERO),
        shipped: line.decimal("shipped").unwrap_or(Decimal::ZERO),
        is_closed: line.flag("isClosed").unwrap_or(false),
        price: line.decimal("price"),
        amount: line.decimal("amount"),
        vat_base: line.decimal("vatBase"),
        vat: line.decimal("vat"),
    });
    SourceOrder {
        id: row.id,
        number: fields.text("number").value(),
        is_cancelled: fields.flag("isCancelled").value().unwrap_or(false),
        currency: fields.text("currency").value(),
        rate: fields.decimal("rate").value(),
        total: fields.decimal("total").value(),
        lines: lines.value().unwrap_or_default(),
    }
}

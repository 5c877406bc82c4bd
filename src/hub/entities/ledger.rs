//! Movements of current accounts.

use std::collections::HashMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::{Resolved, fields::Fields, unknown_word};
use crate::{
    canonical::Entity,
    commerce::{
        CommandError, Outcome, WriteContext,
        account::{EntryKind, LedgerUpsert, upsert_ledger},
    },
    hub::links,
};

pub(super) async fn upsert(
    db: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[Resolved<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    let named: Vec<&str> = rows.iter().filter_map(|row| Fields::of(row).text("order").value()).collect();
    // Orders that are not ours have no link, and that is as it should be.
    let orders = match named.is_empty() {
        true => HashMap::new(),
        false => links::by_code(db, cx.by.origin, Entity::Order, &named).await?,
    };
    let mut outcomes: Vec<Option<Outcome>> = vec![None; rows.len()];
    let (mut places, mut entries) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for (place, row) in rows.iter().enumerate() {
        let order =
            Fields::of(row).text("order").value().and_then(|code| orders.get(code)).map(|link| link.internal_id);
        match movement(row, order) {
            Ok(entry) => {
                places.push(place);
                entries.push(entry);
            }
            Err(refused) => outcomes[place] = Some(refused),
        }
    }
    for (place, outcome) in places.into_iter().zip(upsert_ledger(db, cx, &entries).await?) {
        outcomes[place] = Some(outcome);
    }
    Ok(outcomes.into_iter().flatten().collect())
}

fn movement<'a>(row: &Resolved<'a>, order: Option<i64>) -> Result<LedgerUpsert<'a>, Outcome> {
    let fields = Fields::of(row);
    let kind = fields.text("kind").value().unwrap_or_default();
    let Some(kind) = EntryKind::parse(kind) else { return Err(unknown_word("kind", kind)) };
    Ok(LedgerUpsert {
        id: row.id,
        is_new: row.is_new,
        external_id: row.change.code.as_ref(),
        customer: fields.reference("customer").value().unwrap_or(0),
        kind,
        currency: fields.text("currency").value().unwrap_or_default(),
        debit: fields.decimal("debit").value().unwrap_or(Decimal::ZERO),
        credit: fields.decimal("credit").value().unwrap_or(Decimal::ZERO),
        // The schema requires it.
        booked_at: fields.date("bookedAt").value().unwrap_or(NaiveDate::MIN),
        due_date: fields.date("dueDate").value(),
        document_number: fields.text("documentNumber").value(),
        description: fields.text("description").value(),
        reference: fields.text("reference").value(),
        order,
        book: fields.text("book").value(),
        is_cancelled: fields.flag("isCancelled").value().unwrap_or(false),
    })
}

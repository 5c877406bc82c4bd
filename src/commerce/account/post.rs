//! What we know before the ERP does: a payment that was captured, an invoice that came before its movement.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::{EntryKind, OWN_BOOK, entry::LedgerUpsert, entry::prepare, queries};
use crate::{
    commerce::{CommandError, Violation, WriteContext},
    outbox::Provenance,
};

/// A movement of ours.
#[derive(Debug, Clone)]
pub struct Posting<'a> {
    /// What it is known by among ours: `payment:17`. Posting it again changes it.
    pub key: &'a str,
    pub customer: i64,
    pub kind: EntryKind,
    pub currency: &'a str,
    pub debit: Decimal,
    pub credit: Decimal,
    pub booked_at: NaiveDate,
    pub due_date: Option<NaiveDate>,
    /// By which the ERP's row will be recognised: of an invoice its number, of all else the reference.
    pub document_number: Option<&'a str>,
    pub reference: Option<&'a str>,
    pub description: Option<&'a str>,
    pub order: Option<i64>,
    pub is_cancelled: bool,
}

/// Why a posting is not one.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    #[error("{0}")]
    Refused(Violation),
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl From<sqlx::Error> for PostError {
    fn from(error: sqlx::Error) -> PostError {
        PostError::Command(error.into())
    }
}

/// Writes provisional movements, or brings them up to date. One whose row the ERP has already does not count.
pub async fn post(conn: &mut PgConnection, cx: &WriteContext<'_>, postings: &[Posting<'_>]) -> Result<(), PostError> {
    let mut entries = Vec::with_capacity(postings.len());
    for (place, posting) in postings.iter().enumerate() {
        let row = LedgerUpsert {
            id: 0,
            is_new: true,
            external_id: posting.key,
            customer: posting.customer,
            kind: posting.kind,
            currency: posting.currency,
            debit: posting.debit,
            credit: posting.credit,
            booked_at: posting.booked_at,
            due_date: posting.due_date,
            document_number: posting.document_number,
            description: posting.description,
            reference: posting.reference,
            order: posting.order,
            book: None,
            is_cancelled: posting.is_cancelled,
        };
        entries.push(prepare(place, &row).map_err(PostError::Refused)?);
    }
    let customers: Vec<i64> = entries.iter().map(|entry| entry.customer).collect();
    queries::lock_customers(conn, &customers, &[]).await?;
    let entries: Vec<_> = entries.iter().collect();
    queries::post(conn, cx, OWN_BOOK, &entries).await?;
    Ok(())
}

/// Provisional movements that do not count any more: what they were of was cancelled. The customers are locked.
pub(crate) async fn withdraw(conn: &mut PgConnection, by: &Provenance<'_>, keys: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update commerce.ledger_entry
         set is_cancelled = true, revision = revision + 1, updated_at = $3, updated_by = $4
         where origin = $1 and external_id = any ($2) and not is_cancelled",
        OWN_BOOK,
        keys,
        by.now,
        by.origin,
    )
    .execute(conn)
    .await?;
    Ok(())
}

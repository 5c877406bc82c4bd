//! What a movement must hold.

use chrono::NaiveDate;
use rust_decimal::Decimal;

use crate::{
    commerce::{
        check::{self, violation},
        outcome::Violation,
    },
    money,
};

/// What a movement is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    Invoice,
    Payment,
    Return,
    Refund,
    Opening,
    Adjustment,
    Other,
}

impl EntryKind {
    pub const ALL: [EntryKind; 7] = [
        EntryKind::Invoice,
        EntryKind::Payment,
        EntryKind::Return,
        EntryKind::Refund,
        EntryKind::Opening,
        EntryKind::Adjustment,
        EntryKind::Other,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            EntryKind::Invoice => "invoice",
            EntryKind::Payment => "payment",
            EntryKind::Return => "return",
            EntryKind::Refund => "refund",
            EntryKind::Opening => "opening",
            EntryKind::Adjustment => "adjustment",
            EntryKind::Other => "other",
        }
    }

    pub fn parse(text: &str) -> Option<EntryKind> {
        EntryKind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A movement as an ERP's book has it, whole: an upsert compares and writes all of it.
#[derive(Debug, Clone)]
pub struct LedgerUpsert<'a> {
    pub id: i64,
    pub is_new: bool,
    /// What its book knows it by.
    pub external_id: &'a str,
    pub customer: i64,
    pub kind: EntryKind,
    pub currency: &'a str,
    /// One of the two is 0.
    pub debit: Decimal,
    pub credit: Decimal,
    pub booked_at: NaiveDate,
    /// Null: due when it is booked.
    pub due_date: Option<NaiveDate>,
    pub document_number: Option<&'a str>,
    pub description: Option<&'a str>,
    /// A reference of ours that it bears.
    pub reference: Option<&'a str>,
    /// The order of ours that it names.
    pub order: Option<i64>,
    /// The book that it stands in. An opening of a later book carries over what stands in earlier ones.
    pub book: Option<&'a str>,
    pub is_cancelled: bool,
}

/// A row that passed, as the statements take it.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) place: usize,
    pub(super) id: i64,
    pub(super) is_new: bool,
    pub(super) external_id: &'a str,
    pub(super) customer: i64,
    pub(super) kind: EntryKind,
    pub(super) currency: &'a str,
    pub(super) debit: Decimal,
    pub(super) credit: Decimal,
    pub(super) booked_at: NaiveDate,
    pub(super) due_date: Option<NaiveDate>,
    pub(super) document_number: Option<&'a str>,
    pub(super) description: Option<&'a str>,
    pub(super) reference: Option<&'a str>,
    pub(super) order: Option<i64>,
    pub(super) book: Option<&'a str>,
    pub(super) is_cancelled: bool,
}

pub(super) fn prepare<'a>(place: usize, row: &LedgerUpsert<'a>) -> Result<Entry<'a>, Violation> {
    let text = |field, value: Option<&'a str>, max| {
        value.filter(|value| !value.is_empty()).map(|value| check::text(field, value, max)).transpose()
    };
    if row.external_id.is_empty() {
        return Err(check::required("externalId"));
    }
    let debit = check::not_negative("debit", row.debit, money::AMOUNT)?;
    let credit = check::not_negative("credit", row.credit, money::AMOUNT)?;
    if !debit.is_zero() && !credit.is_zero() {
        return Err(violation("credit", "out_of_range", credit, "is above 0 beside a debit: a movement has one side"));
    }
    Ok(Entry {
        place,
        id: row.id,
        is_new: row.is_new,
        external_id: check::text("externalId", row.external_id, 200)?,
        customer: row.customer,
        kind: row.kind,
        currency: check::currency("currency", row.currency)?,
        debit,
        credit,
        booked_at: row.booked_at,
        due_date: row.due_date,
        document_number: text("documentNumber", row.document_number, 100)?,
        description: text("description", row.description, 500)?,
        reference: text("reference", row.reference, 100)?,
        order: row.order,
        book: text("book", row.book, 20)?,
        is_cancelled: row.is_cancelled,
    })
}

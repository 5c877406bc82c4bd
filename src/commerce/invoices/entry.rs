//! What an invoice must hold.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{
    commerce::{
        check::{self, violation},
        outcome::Violation,
    },
    money,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvoiceKind {
    Sale,
    /// The customer is credited for what it gave back.
    Return,
}

impl InvoiceKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            InvoiceKind::Sale => "sale",
            InvoiceKind::Return => "return",
        }
    }

    pub fn parse(text: &str) -> Option<InvoiceKind> {
        [InvoiceKind::Sale, InvoiceKind::Return].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How far it has come. One that the receiver rejected still stands in the books until it is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvoiceStatus {
    Issued,
    Sent,
    Accepted,
    Rejected,
    Cancelled,
}

impl InvoiceStatus {
    pub const ALL: [InvoiceStatus; 5] = [
        InvoiceStatus::Issued,
        InvoiceStatus::Sent,
        InvoiceStatus::Accepted,
        InvoiceStatus::Rejected,
        InvoiceStatus::Cancelled,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            InvoiceStatus::Issued => "issued",
            InvoiceStatus::Sent => "sent",
            InvoiceStatus::Accepted => "accepted",
            InvoiceStatus::Rejected => "rejected",
            InvoiceStatus::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<InvoiceStatus> {
        InvoiceStatus::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// An invoice as its source has it, whole: an upsert compares and writes all of it.
#[derive(Debug, Clone)]
pub struct InvoiceUpsert<'a> {
    pub id: i64,
    pub is_new: bool,
    /// What its source knows it by.
    pub external_id: &'a str,
    pub customer: i64,
    /// The order of ours that it names.
    pub order: Option<i64>,
    pub number: &'a str,
    pub ettn: Option<Uuid>,
    pub kind: InvoiceKind,
    pub status: InvoiceStatus,
    /// As the revenue administration calls it: TEMELFATURA, TICARIFATURA, EARSIVFATURA.
    pub profile: Option<&'a str>,
    pub issued_on: NaiveDate,
    pub due_date: Option<NaiveDate>,
    pub currency: &'a str,
    /// To the currency of the books, of its day.
    pub exchange_rate: Option<Decimal>,
    pub subtotal: Decimal,
    pub discount: Decimal,
    pub tax: Decimal,
    pub total: Decimal,
    pub pdf_url: Option<&'a str>,
    pub note: Option<&'a str>,
    pub lines: Vec<InvoiceLine<'a>>,
    pub payments: Vec<InvoicePayment>,
}

/// What of an invoice is due when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvoicePayment {
    pub due_date: NaiveDate,
    pub amount: Decimal,
}

#[derive(Debug, Clone)]
pub struct InvoiceLine<'a> {
    /// The line of an order of ours that it is of.
    pub order_line: Option<i64>,
    /// What the source calls the order's line. Where no line is named, the one of ours with this reference is meant, as soon as
    /// there is one.
    pub order_reference: Option<&'a str>,
    pub product: Option<i64>,
    pub code: Option<&'a str>,
    pub description: &'a str,
    pub quantity: Decimal,
    pub unit: Option<&'a str>,
    pub numerator: Decimal,
    pub denominator: Decimal,
    pub unit_price: Decimal,
    /// Before discount and VAT.
    pub amount: Decimal,
    pub discount: Decimal,
    pub vat_rate: Decimal,
    pub vat: Decimal,
}

/// A row that passed, as the statements take it: figures as the store will hold them.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) place: usize,
    pub(super) row: InvoiceUpsert<'a>,
}

const MOST_LINES: usize = 5_000;
const MOST_PAYMENTS: usize = 500;

pub(super) fn prepare<'a>(place: usize, row: &InvoiceUpsert<'a>) -> Result<Entry<'a>, Violation> {
    let text = |field, value: Option<&'a str>, max| {
        value.filter(|value| !value.is_empty()).map(|value| check::text(field, value, max)).transpose()
    };
    if row.external_id.is_empty() {
        return Err(check::required("externalId"));
    }
    if row.number.is_empty() {
        return Err(check::required("number"));
    }
    if row.lines.len() > MOST_LINES {
        return Err(violation("lines", "too_many", row.lines.len(), &format!("has more than {MOST_LINES} lines")));
    }
    if row.payments.len() > MOST_PAYMENTS {
        let why = format!("has more than {MOST_PAYMENTS} payments");
        return Err(violation("payments", "too_many", row.payments.len(), &why));
    }
    let amount = |field, value| check::not_negative(field, value, money::AMOUNT);
    let payments = row
        .payments
        .iter()
        .map(|payment| Ok(InvoicePayment { amount: amount("payments", payment.amount)?, ..*payment }));
    let payments = payments.collect::<Result<Vec<_>, Violation>>()?;
    let lines = row.lines.iter().map(checked).collect::<Result<Vec<_>, Violation>>()?;
    let row = InvoiceUpsert {
        external_id: check::text("externalId", row.external_id, 200)?,
        number: check::text("number", row.number, 100)?,
        profile: text("profile", row.profile, 50)?,
        currency: check::currency("currency", row.currency)?,
        exchange_rate: row.exchange_rate.map(|rate| check::positive("exchangeRate", rate, money::RATE)).transpose()?,
        subtotal: amount("subtotal", row.subtotal)?,
        discount: amount("discount", row.discount)?,
        tax: amount("tax", row.tax)?,
        total: amount("total", row.total)?,
        pdf_url: text("pdfUrl", row.pdf_url, 1000)?,
        note: text("note", row.note, 2000)?,
        lines,
        payments,
        ..*row
    };
    Ok(Entry { place, row })
}

fn checked<'a>(line: &InvoiceLine<'a>) -> Result<InvoiceLine<'a>, Violation> {
    const FIELD: &str = "lines";
    let text = |value: Option<&'a str>, max| {
        value.filter(|value| !value.is_empty()).map(|value| check::text(FIELD, value, max)).transpose()
    };
    let amount = |value| check::not_negative(FIELD, value, money::AMOUNT);
    let description = if line.description.is_empty() { line.code.unwrap_or("-") } else { line.description };
    Ok(InvoiceLine {
        order_line: line.order_line,
        order_reference: text(line.order_reference, 50)?,
        product: line.product,
        code: text(line.code, 100)?,
        description: check::text(FIELD, description, 200)?,
        quantity: check::not_negative(FIELD, line.quantity, money::QUANTITY)?,
        unit: text(line.unit, 20)?,
        numerator: check::positive(FIELD, line.numerator, money::RATE)?,
        denominator: check::positive(FIELD, line.denominator, money::RATE)?,
        unit_price: check::not_negative(FIELD, line.unit_price, money::UNIT_PRICE)?,
        amount: amount(line.amount)?,
        discount: amount(line.discount)?,
        vat_rate: check::percent(FIELD, line.vat_rate)?,
        vat: amount(line.vat)?,
    })
}

impl Entry<'_> {
    /// Whether the exposure of one of our orders goes over into it.
    pub(super) fn is_of_an_order(&self) -> bool {
        self.row.order.is_some() || self.row.lines.iter().any(|line| line.order_line.is_some())
    }
}

//! Invoices as they are shown.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::{Decimal, serde::arbitrary_precision, serde::arbitrary_precision_option};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::InvoiceStatus;
use crate::{
    commerce::account::ListError,
    page::{Page, PageRequest},
    principal::Scope,
};

/// An invoice in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvoiceHead {
    pub id: i64,
    pub number: String,
    /// The revenue administration's number of an electronic invoice.
    pub ettn: Option<Uuid>,
    /// sale or return
    pub kind: String,
    /// issued, sent, accepted, rejected or cancelled
    pub status: String,
    /// TEMELFATURA, TICARIFATURA, EARSIVFATURA, …
    pub profile: Option<String>,
    pub customer_id: i64,
    pub order_id: Option<i64>,
    pub issued_on: NaiveDate,
    pub due_date: Option<NaiveDate>,
    pub currency: String,
    #[serde(with = "arbitrary_precision_option")]
    #[schema(value_type = Option<f64>)]
    pub exchange_rate: Option<Decimal>,
    /// Before discounts and VAT.
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub subtotal: Decimal,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub discount: Decimal,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub tax: Decimal,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub total: Decimal,
    pub pdf_url: Option<String>,
    pub note: Option<String>,
    pub updated_at: DateTime<Utc>,
}

/// An invoice with its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invoice {
    #[serde(flatten)]
    pub head: InvoiceHead,
    pub lines: Vec<InvoiceLineView>,
    /// What of it is due when.
    pub payments: Vec<InvoicePaymentView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InvoicePayment)]
pub struct InvoicePaymentView {
    pub due_date: NaiveDate,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub amount: Decimal,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InvoiceLine)]
pub struct InvoiceLineView {
    pub position: i16,
    /// The line of the order that it is of.
    pub order_line_id: Option<i64>,
    pub product_id: Option<i64>,
    pub code: Option<String>,
    pub description: String,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub quantity: Decimal,
    pub unit: Option<String>,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub unit_price: Decimal,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub amount: Decimal,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub discount: Decimal,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub vat_rate: Decimal,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub vat: Decimal,
}

/// Which invoices are wanted; every field narrows.
#[derive(Debug, Clone, Default)]
pub struct InvoiceFilter {
    pub customer: Option<i64>,
    pub order: Option<i64>,
    pub status: Option<InvoiceStatus>,
    pub from: Option<NaiveDate>,
    pub to: Option<NaiveDate>,
    /// A number, whole.
    pub number: Option<String>,
}

const LIST: &str = "invoices";

/// Newest first.
pub async fn invoices(
    conn: &mut PgConnection,
    scope: Scope,
    filter: &InvoiceFilter,
    page: &PageRequest,
) -> Result<Page<InvoiceHead>, ListError> {
    crate::commerce::account::check_ends(filter.from, filter.to)?;
    let after: Option<(NaiveDate, i64)> = page.after(LIST)?;
    let (day, id) = after.unzip();
    let rows = sqlx::query_as!(
        InvoiceHead,
        "select id, number, ettn, kind, status, profile, customer_id, order_id, issued_on, due_date, currency,
             exchange_rate, subtotal, discount, tax, total, pdf_url, note, updated_at
         from commerce.invoice
         where ($1 or customer_id = $2)
             and ($3::bigint is null or customer_id = $3)
             and ($4::bigint is null or order_id = $4)
             and ($5::text is null or status = $5)
             and ($6::date is null or issued_on >= $6)
             and ($7::date is null or issued_on <= $7)
             and ($8::text is null or number = $8)
             and ($9::date is null or (issued_on, id) < ($9, $10))
         order by issued_on desc, id desc
         limit $11",
        scope.is_house(),
        scope.company_id(),
        filter.customer,
        filter.order,
        filter.status.map(InvoiceStatus::as_str),
        filter.from,
        filter.to,
        filter.number,
        day,
        id,
        page.rows(),
    )
    .fetch_all(conn)
    .await?;
    Ok(page.page(LIST, rows, |row| (row.issued_on, row.id)))
}

/// `None`: there is none that the scope covers.
pub async fn invoice(conn: &mut PgConnection, scope: Scope, id: i64) -> Result<Option<Invoice>, sqlx::Error> {
    let head = sqlx::query_as!(
        InvoiceHead,
        "select id, number, ettn, kind, status, profile, customer_id, order_id, issued_on, due_date, currency,
             exchange_rate, subtotal, discount, tax, total, pdf_url, note, updated_at
         from commerce.invoice
         where id = $1 and ($2 or customer_id = $3)",
        id,
        scope.is_house(),
        scope.company_id(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(head) = head else { return Ok(None) };
    let lines = sqlx::query_as!(
        InvoiceLineView,
        "select position, order_line_id, product_id, code, description, quantity, unit, unit_price, amount, discount,
             vat_rate, vat
         from commerce.invoice_line
         where invoice_id = $1
         order by position",
        id,
    )
    .fetch_all(&mut *conn)
    .await?;
    let payments = sqlx::query_as!(
        InvoicePaymentView,
        "select due_date, amount from commerce.invoice_payment where invoice_id = $1 order by position",
        id,
    )
    .fetch_all(conn)
    .await?;
    Ok(Some(Invoice { head, lines, payments }))
}

//! Invoices: written by the ERP, shown to whom they belong.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Pushed, routes::entity_routes};
use crate::canonical::Entity;

const INVOICES: Pushed =
    Pushed { entity: Entity::Invoice, mapping: "integration/invoices", stream: "push.invoices", list: "items" };

/// An invoice, whole: what is left out of it is empty.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct InvoiceIn {
    #[schema(max_length = 100)]
    number: String,
    /// By which it is known; its number when it is left out.
    #[schema(max_length = 200)]
    code: Option<String>,
    customer_code: String,
    /// The number of an order of ours (`ORD…`), or our reference as the ERP has it. One that is not known fails the item.
    #[schema(max_length = 100)]
    order_number: Option<String>,
    /// The revenue administration's number of an electronic invoice.
    ettn: Option<Uuid>,
    /// `sale` when it is left out, or `return`.
    kind: Option<String>,
    /// `issued` when it is left out, `sent`, `accepted`, `rejected` or `cancelled`.
    status: Option<String>,
    /// `TEMELFATURA`, `TICARIFATURA`, `EARSIVFATURA`, …
    #[schema(max_length = 50)]
    profile: Option<String>,
    issued_on: NaiveDate,
    /// The last of its payments' when it is left out.
    due_date: Option<NaiveDate>,
    /// TRY when it is left out.
    #[schema(min_length = 3, max_length = 3)]
    currency: Option<String>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    exchange_rate: Option<Decimal>,
    /// Before discounts and VAT; the sum of the lines when it is left out.
    #[schema(value_type = Option<f64>, minimum = 0)]
    subtotal: Option<Decimal>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    discount: Option<Decimal>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    tax: Option<Decimal>,
    #[schema(value_type = f64, minimum = 0)]
    total: Decimal,
    /// Where its PDF is found.
    #[schema(max_length = 1000)]
    pdf_url: Option<String>,
    #[schema(max_length = 2000)]
    note: Option<String>,
    lines: Option<Vec<InvoiceLineIn>>,
    payments: Option<Vec<InvoicePaymentIn>>,
    /// Orders pushes: one with a smaller number than the newest is stale.
    version: Option<i64>,
}

/// A line of an invoice.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct InvoiceLineIn {
    /// The place of the line in the order, from 1.
    order_line: Option<i64>,
    /// The ERP's own reference of the order's line, in the place of `orderLine`.
    #[schema(max_length = 50)]
    order_line_reference: Option<String>,
    #[schema(max_length = 100)]
    product_code: Option<String>,
    #[schema(max_length = 200)]
    description: Option<String>,
    #[schema(value_type = f64, minimum = 0)]
    quantity: Decimal,
    #[schema(max_length = 20)]
    unit: Option<String>,
    /// Net of VAT, of one unit.
    #[schema(value_type = f64, minimum = 0)]
    unit_price: Decimal,
    /// Before discount and VAT; quantity × unit price when it is left out.
    #[schema(value_type = Option<f64>, minimum = 0)]
    amount: Option<Decimal>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    discount: Option<Decimal>,
    /// In percent.
    #[schema(value_type = f64, minimum = 0)]
    vat_rate: Decimal,
    #[schema(value_type = f64, minimum = 0)]
    vat: Decimal,
}

/// What of an invoice is due when.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct InvoicePaymentIn {
    due_date: NaiveDate,
    #[schema(value_type = f64, minimum = 0)]
    amount: Decimal,
}

#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct InvoicesIn {
    #[schema(min_items = 1, max_items = 1000)]
    items: Vec<InvoiceIn>,
}

entity_routes!(
    INVOICES,
    tag = "integration",
    one = "/api/integration/invoices",
    bulk = "/api/integration/invoices/bulk",
    record = "/api/integration/invoices/{externalCode}",
    item = InvoiceIn,
    items = InvoicesIn,
    names = ["pushInvoice", "pushInvoices", "showPushedInvoice", "cancelPushedInvoice"],
    also = []
);

//! What is sent about orders, and the shapes of lists.

use chrono::{Datelike, NaiveDate};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    commerce::orders::{AskedLine, HistoryLine, NewOrder, OrderFilter, OrderSummary, PaymentMethod, State},
    http::problem::{FieldError, Problem},
};

/// An order. Without `lines`: what is in the caller's cart, which is empty afterwards.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "lines": [{ "sku": "KMR-DM4-2812", "quantity": 12 }, { "productId": 1042, "quantity": 3, "unit": "MAKARA" }],
    "paymentMethod": "account",
    "note": "kapıda arayın"
}))]
pub(super) struct OrderIn {
    /// 1 to 500. Lines of the same product and unit become one.
    #[schema(min_items = 1, max_items = 500)]
    lines: Option<Vec<LineIn>>,
    /// `account` (the default): on the current account, within the credit limit; `card`: it waits for its payment.
    #[schema(value_type = Option<String>, example = "account")]
    payment_method: Option<String>,
    /// One of the customer's addresses; its default one when it is left out.
    shipping_address_id: Option<i64>,
    #[schema(max_length = 2000)]
    note: Option<String>,
    /// Whose order it is, when somebody of the house places it.
    customer_id: Option<i64>,
}

/// A line: a product by id or by SKU (or, where that is nobody's SKU, by code), and how much of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LineIn {
    product_id: Option<i64>,
    sku: Option<String>,
    /// Above 0, with no more decimals than the unit allows.
    #[schema(value_type = f64, example = 12)]
    quantity: Decimal,
    /// The product's main unit when it is left out.
    unit: Option<String>,
}

impl OrderIn {
    pub(super) fn asked(self) -> Result<NewOrder, Problem> {
        let payment_method = match self.payment_method.as_deref() {
            None => PaymentMethod::Account,
            Some(text) => PaymentMethod::parse(text)
                .ok_or_else(|| wrong("paymentMethod", "unknown_value", "it must be `account` or `card`".to_owned()))?,
        };
        let line = |line: LineIn| AskedLine {
            product: line.product_id,
            sku: line.sku,
            quantity: line.quantity,
            unit: line.unit,
        };
        Ok(NewOrder {
            customer: self.customer_id,
            lines: self.lines.map(|lines| lines.into_iter().map(line).collect()),
            payment_method,
            shipping_address: self.shipping_address_id,
            note: self.note,
        })
    }
}

/// Why; may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "note": "limit artırıldı" }))]
pub(super) struct DecisionIn {
    #[schema(max_length = 2000)]
    note: Option<String>,
}

impl DecisionIn {
    /// No body, or one with a note.
    pub(super) fn read(body: &[u8]) -> Result<Option<String>, Problem> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let read: DecisionIn = serde_json::from_slice(body)
            .map_err(|error| Problem::bad_request(format!("the document has another shape: {error}")))?;
        Ok(read.note)
    }
}

/// Which orders are wanted; everything narrows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct OrdersQuery {
    /// One state, or several with commas: `pending_approval,pending_payment`.
    #[param(example = "confirmed")]
    state: Option<String>,
    /// Placed on this day of Istanbul or later: `2026-03-02`.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<String>,
    /// Placed on this day of Istanbul or earlier.
    #[param(value_type = Option<String>, format = Date)]
    to: Option<String>,
    /// For the house: of this customer alone.
    #[param(value_type = Option<i64>)]
    customer_id: Option<String>,
    /// `true`: also tell how many there are.
    #[param(value_type = Option<bool>)]
    count: Option<String>,
}

impl OrdersQuery {
    /// The filter, and whether to count.
    pub(super) fn wanted(&self) -> Result<(OrderFilter, bool), Problem> {
        fn given(text: &Option<String>) -> Option<&str> {
            text.as_deref().map(str::trim).filter(|text| !text.is_empty())
        }
        let mut states = Vec::new();
        for name in given(&self.state).into_iter().flat_map(|names| names.split(',')) {
            let known = || State::ALL.map(State::as_str).join(", ");
            let state = State::parse(name.trim())
                .ok_or_else(|| wrong("state", "unknown_value", format!("it must be one or several of {}", known())))?;
            states.push(state);
        }
        let day = |field, text: &Option<String>| match given(text) {
            None => Ok(None),
            Some(text) => match text.parse::<NaiveDate>() {
                Ok(day) if (1900..=9999).contains(&day.year()) => Ok(Some(day)),
                _ => Err(wrong(field, "format", "it must be a day, as in 2026-03-02".to_owned())),
            },
        };
        let customer = match given(&self.customer_id) {
            None => None,
            Some(text) => {
                Some(text.parse().map_err(|_| wrong("customerId", "format", "it must be a number".to_owned()))?)
            }
        };
        let count = match given(&self.count) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(wrong("count", "format", "it must be true or false".to_owned())),
        };
        let filter = OrderFilter { states, from: day("from", &self.from)?, to: day("to", &self.to)?, customer };
        Ok((filter, count))
    }
}

fn wrong(field: &str, code: &'static str, message: String) -> Problem {
    Problem::invalid(vec![FieldError { field: field.to_owned(), code: code.into(), message }])
}

/// Orders, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderPage {
    pub(super) items: Vec<OrderSummary>,
    /// Null on the last page.
    pub(super) next_cursor: Option<String>,
    /// With `count=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) total_count: Option<i64>,
}

/// What was done to an order, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderHistory {
    pub(super) items: Vec<HistoryLine>,
}

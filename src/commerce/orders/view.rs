//! Orders as they are shown.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// An order in a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderSummary {
    pub id: i64,
    /// `ORDyyyyMMddNNNN`, the day Istanbul's.
    #[schema(example = "ORD202603020318")]
    pub number: String,
    /// `pending_approval`, `pending_payment`, `confirmed`, `processing`, `shipped`, `delivered`, `completed`, `cancelled`
    /// or `returned`.
    #[schema(example = "confirmed")]
    pub state: String,
    pub revision: i64,
    pub customer_id: i64,
    pub customer_code: String,
    pub customer_title: String,
    /// `account` or `card`.
    #[schema(example = "account")]
    pub payment_method: String,
    #[schema(example = "TRY")]
    pub currency: String,
    /// Goods before discounts, net of VAT.
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 34506.0000)]
    pub subtotal: Decimal,
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 1107.3000)]
    pub discount: Decimal,
    /// Freight, net of VAT.
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 0.0000)]
    pub shipping: Decimal,
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 6679.7400)]
    pub tax: Decimal,
    /// `subtotal − discount + shipping + tax`, and the sum of the lines.
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 40078.4400)]
    pub total: Decimal,
    /// The ERP's number of it, once it has one.
    pub logo_number: Option<String>,
    /// The ERP has the order already and was asked to cancel it; it is cancelled when it agrees.
    pub cancel_requested: bool,
    /// Why a person of the house had to approve it: `amount`, `credit_limit`, `overdue`, `new_dealer`.
    pub approval_reasons: Vec<String>,
    /// Until when it has to be paid or approved, or it is cancelled.
    pub expires_at: Option<DateTime<Utc>>,
    pub confirmed_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// An order whole.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    #[serde(flatten)]
    pub summary: OrderSummary,
    /// Who placed it: `user:12`.
    pub placed_by: String,
    pub note: Option<String>,
    /// As it stood when the order was placed.
    #[schema(value_type = Object)]
    pub billing_address: Map<String, Value>,
    /// Null: none is known.
    #[schema(value_type = Option<Object>)]
    pub shipping_address: Option<Map<String, Value>>,
    pub lines: Vec<OrderLine>,
}

/// A line. Quantities are in its unit; in the main unit they are `quantity × numerator ÷ denominator`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderLine {
    pub id: i64,
    pub position: i16,
    /// `product` or `shipping`.
    #[schema(example = "product")]
    pub kind: String,
    pub product_id: Option<i64>,
    pub sku: Option<String>,
    pub code: String,
    pub name: String,
    #[schema(example = "ADET")]
    pub unit: Option<String>,
    #[serde(serialize_with = "plain")]
    #[schema(value_type = f64, example = 1)]
    pub numerator: Decimal,
    #[serde(serialize_with = "plain")]
    #[schema(value_type = f64, example = 1)]
    pub denominator: Decimal,
    /// As it was ordered.
    #[serde(serialize_with = "plain")]
    #[schema(value_type = f64, example = 12)]
    pub quantity: Decimal,
    #[serde(serialize_with = "plain")]
    #[schema(value_type = f64, example = 12)]
    pub confirmed: Decimal,
    /// Held in stock for it.
    #[serde(serialize_with = "plain")]
    #[schema(value_type = f64, example = 12)]
    pub reserved: Decimal,
    #[serde(serialize_with = "plain")]
    #[schema(value_type = f64, example = 0)]
    pub shipped: Decimal,
    #[serde(serialize_with = "plain")]
    #[schema(value_type = f64, example = 0)]
    pub delivered: Decimal,
    #[serde(serialize_with = "plain")]
    #[schema(value_type = f64, example = 0)]
    pub invoiced: Decimal,
    #[serde(serialize_with = "plain")]
    #[schema(value_type = f64, example = 0)]
    pub cancelled: Decimal,
    /// Of one unit, net of VAT, before discounts.
    #[serde(serialize_with = "unit_price")]
    #[schema(value_type = f64, example = 1845.500000)]
    pub unit_price: Decimal,
    /// The rule that gave the price: `special`, `price_list`, `tier`, `dealer` or `list`.
    pub price_rule: Option<String>,
    /// Quantity × price, net of VAT, before discounts.
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 22146.0000)]
    pub amount: Decimal,
    /// The sum of `discounts`.
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 1107.3000)]
    pub discount: Decimal,
    pub discounts: Vec<OrderDiscount>,
    /// In percent.
    #[serde(serialize_with = "plain")]
    #[schema(value_type = f64, example = 20)]
    pub vat_rate: Decimal,
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 21038.7000)]
    pub vat_base: Decimal,
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 4207.7400)]
    pub vat: Decimal,
    /// `vatBase + vat`.
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 25246.4400)]
    pub total: Decimal,
}

/// A discount on a line.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderDiscount {
    /// `customer`: the dealer's own rate.
    #[schema(example = "customer")]
    pub kind: String,
    /// In percent.
    #[serde(serialize_with = "plain")]
    #[schema(value_type = f64, example = 5)]
    pub rate: Decimal,
    #[serde(serialize_with = "amount")]
    #[schema(value_type = f64, example = 1107.3000)]
    pub amount: Decimal,
}

/// What was done to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryLine {
    pub revision: i64,
    pub at: DateTime<Utc>,
    /// `placed`, `approved`, `rejected`, `paid`, `cancelled`, `cancel_requested`, `expired`, `sent`.
    #[schema(example = "approved")]
    pub action: String,
    pub from_state: Option<String>,
    pub state: String,
    /// Who did it: `user:12`, `hub`.
    pub actor: String,
    pub note: Option<String>,
}

fn number<S: Serializer>(value: Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    rust_decimal::serde::arbitrary_precision::serialize(&value, serializer)
}

/// Four decimals, as amounts are stored.
pub(crate) fn amount<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    let mut value = *value;
    value.rescale(4);
    number(value, serializer)
}

/// Six decimals.
pub(crate) fn unit_price<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    let mut value = *value;
    value.rescale(6);
    number(value, serializer)
}

/// No more digits than it needs.
pub(crate) fn plain<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    number(value.normalize(), serializer)
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

//! Customers: dealer companies.

use rust_decimal::Decimal;
use utoipa::ToSchema;

use super::{Pushed, routes::entity_routes};
use crate::canonical::Entity;

const CUSTOMERS: Pushed =
    Pushed { entity: Entity::Customer, mapping: "integration/customers", stream: "push.customers", list: "items" };

/// A dealer company.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct CustomerIn {
    #[schema(max_length = 100)]
    code: String,
    /// LOGO's own number of the record.
    logo_id: Option<i64>,
    #[schema(max_length = 200)]
    title: String,
    /// VKN or TCKN.
    #[schema(max_length = 15)]
    tax_number: String,
    #[schema(max_length = 100)]
    tax_office: Option<String>,
    #[schema(max_length = 254)]
    email: Option<String>,
    #[schema(max_length = 50)]
    phone: Option<String>,
    /// `A`, `B` or `C`.
    price_tier: Option<String>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    credit_limit: Option<Decimal>,
    /// TRY for a new customer when it is left out.
    #[schema(min_length = 3, max_length = 3)]
    currency: Option<String>,
    payment_term_days: Option<i32>,
    /// In percent.
    #[schema(value_type = Option<f64>, minimum = 0)]
    discount_rate: Option<Decimal>,
    addresses: Option<Vec<AddressIn>>,
    /// True when it is left out.
    is_active: Option<bool>,
    /// Orders pushes: one with a smaller number than the newest is stale.
    version: Option<i64>,
}

/// An address of a customer.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct AddressIn {
    #[schema(max_length = 50)]
    code: Option<String>,
    title: Option<String>,
    line1: Option<String>,
    line2: Option<String>,
    district: Option<String>,
    town: Option<String>,
    city: Option<String>,
    country: Option<String>,
    postal_code: Option<String>,
    phone: Option<String>,
    is_default: Option<bool>,
}

#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct CustomersIn {
    #[schema(min_items = 1, max_items = 1000)]
    items: Vec<CustomerIn>,
}

entity_routes!(
    CUSTOMERS,
    tag = "integration",
    one = "/api/integration/customers",
    bulk = "/api/integration/customers/bulk",
    record = "/api/integration/customers/{externalCode}",
    item = CustomerIn,
    items = CustomersIn,
    names = ["pushCustomer", "pushCustomers", "showCustomer", "deactivateCustomer"],
    also = []
);

//! Customers as they are sent and shown.

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::commerce::{
    Patch,
    customers::{
        AddressLine, CustomerUpsert,
        directory::{Customer, CustomerHead},
    },
};

/// What is left out stays as it is; null empties it.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Patch<T>, D::Error> {
    Option::<T>::deserialize(from).map(Patch::from)
}

/// A customer as a person sends it. What is left out stays as it is; null empties it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CustomerEdit, example = json!({
    "code": "120.34.0187", "title": "Yıldızhan Güvenlik Ltd. Şti.", "taxNumber": "9900000011", "taxOffice": "Ümraniye",
    "email": "satinalma@yildizhan.example", "priceTier": "B", "addresses": [{ "title": "Merkez", "city": "İstanbul" }]
}))]
pub(super) struct CustomerIn {
    /// Required of a new one.
    #[schema(max_length = 100)]
    pub(super) code: Option<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 200)]
    title: Patch<String>,
    /// VKN or TCKN.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 15)]
    tax_number: Patch<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 100)]
    tax_office: Patch<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<bool>)]
    is_person: Patch<bool>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 200)]
    contact: Patch<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 254)]
    email: Patch<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 50)]
    phone: Patch<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 50)]
    mobile: Patch<String>,
    /// `A`, `B` or `C`
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    price_tier: Patch<String>,
    /// With the permission `credit.edit`; at most four decimals. Null: no limit.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<f64>, minimum = 0)]
    credit_limit: Patch<Decimal>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, min_length = 3, max_length = 3)]
    currency: Patch<String>,
    /// With the permission `credit.edit`.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 50)]
    payment_term_code: Patch<String>,
    /// With the permission `credit.edit`.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 3650)]
    payment_term_days: Patch<i64>,
    /// In percent.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 100)]
    discount_rate: Patch<Decimal>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 50)]
    trading_group: Patch<String>,
    /// All of them: one that is left out is not used any more.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<AddressIn>>)]
    addresses: Patch<Vec<AddressIn>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<bool>)]
    is_active: Patch<bool>,
    /// With the permission `customers.approve`. False takes an approval back.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<bool>)]
    is_approved: Patch<bool>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schema(as = CustomerAddressEdit)]
struct AddressIn {
    /// What it is matched by; without one, its place in the list.
    #[schema(max_length = 50)]
    code: Option<String>,
    #[schema(max_length = 200)]
    title: Option<String>,
    #[schema(max_length = 250)]
    line1: Option<String>,
    #[schema(max_length = 250)]
    line2: Option<String>,
    #[schema(max_length = 100)]
    district: Option<String>,
    #[schema(max_length = 100)]
    town: Option<String>,
    #[schema(max_length = 100)]
    city: Option<String>,
    #[schema(max_length = 100)]
    country: Option<String>,
    #[schema(max_length = 20)]
    postal_code: Option<String>,
    #[schema(max_length = 50)]
    phone: Option<String>,
    /// The first one, if none says so.
    is_default: bool,
}

impl CustomerIn {
    /// As the command takes it; its id and code are the caller's to fill in.
    pub(super) fn upsert(&self) -> CustomerUpsert<'_> {
        fn text(patch: &Patch<String>) -> Patch<&str> {
            patch.as_ref().map(String::as_str)
        }
        CustomerUpsert {
            title: text(&self.title),
            tax_number: text(&self.tax_number),
            tax_office: text(&self.tax_office),
            is_person: self.is_person.as_ref().map(|value| *value),
            contact: text(&self.contact),
            email: text(&self.email),
            phone: text(&self.phone),
            mobile: text(&self.mobile),
            price_tier: text(&self.price_tier),
            credit_limit: self.credit_limit.as_ref().map(|value| *value),
            currency: text(&self.currency),
            payment_term_code: text(&self.payment_term_code),
            payment_term_days: self.payment_term_days.as_ref().map(|value| *value),
            discount_rate: self.discount_rate.as_ref().map(|value| *value),
            trading_group: text(&self.trading_group),
            addresses: self.addresses.as_ref().map(|lines| lines.iter().map(AddressIn::line).collect()),
            is_active: self.is_active.as_ref().map(|value| *value),
            is_approved: self.is_approved.as_ref().map(|value| *value),
            ..CustomerUpsert::default()
        }
    }
}

impl AddressIn {
    fn line(&self) -> AddressLine<'_> {
        AddressLine {
            code: self.code.as_deref(),
            title: self.title.as_deref(),
            line1: self.line1.as_deref(),
            line2: self.line2.as_deref(),
            district: self.district.as_deref(),
            town: self.town.as_deref(),
            city: self.city.as_deref(),
            country: self.country.as_deref(),
            postal_code: self.postal_code.as_deref(),
            phone: self.phone.as_deref(),
            is_default: self.is_default,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct CustomersQuery {
    /// Words that stand in code, title, tax number or e-mail address, in any case and with or without Turkish letters.
    #[param(max_length = 200, example = "isik guvenlik")]
    pub(super) search: Option<String>,
    #[param(value_type = Option<bool>)]
    pub(super) is_active: Option<String>,
    #[param(value_type = Option<bool>)]
    pub(super) is_approved: Option<String>,
    /// `A`, `B` or `C`
    pub(super) price_tier: Option<String>,
}

/// A page of customers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CustomerPage {
    items: Vec<CustomerHead>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

/// A customer, with what only the house is told.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CustomerDetail)]
pub(super) struct CustomerView {
    #[serde(flatten)]
    pub(super) customer: Customer,
    /// The instance that it comes from, which owns most of its fields. Not told to dealers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<String>,
    /// In the order in which they are looked at. Not told to dealers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) price_lists: Option<Vec<PriceListLine>>,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CustomerPriceList)]
pub(super) struct PriceListLine {
    pub(super) price_list_id: i64,
    /// The smaller goes first; 0 when it is left out.
    #[serde(default)]
    pub(super) priority: i32,
}

/// The price lists of a customer, all of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CustomerPriceLists)]
pub(super) struct PriceListsIn {
    #[schema(max_items = 100)]
    pub(super) price_lists: Vec<PriceListLine>,
}

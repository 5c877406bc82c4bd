//! Customers (LOGO: cari). What comes from the ERP is a dealer already; who registers by himself is approved by a person.

use sqlx::PgConnection;

use super::{Resolved, fields::Fields};
use crate::commerce::{
    CommandError, Outcome, Patch, WriteContext,
    customers::{AddressLine, CustomerUpsert, upsert_customers},
};

pub(super) async fn upsert(
    db: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[Resolved<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    let rows: Vec<CustomerUpsert<'_>> = rows.iter().map(customer).collect();
    upsert_customers(db, cx, &rows).await
}

fn customer<'a>(row: &Resolved<'a>) -> CustomerUpsert<'a> {
    let fields = Fields::of(row);
    CustomerUpsert {
        id: row.id,
        is_new: row.is_new,
        code: row.change.code.as_ref(),
        title: fields.text("title"),
        tax_number: fields.text("taxNumber"),
        tax_office: fields.text("taxOffice"),
        is_person: fields.flag("isPerson"),
        contact: fields.text("contact"),
        email: fields.text("email"),
        phone: fields.text("phone"),
        mobile: fields.text("mobile"),
        price_tier: fields.text("priceTier"),
        credit_limit: fields.decimal("creditLimit"),
        currency: fields.text("currency"),
        payment_term_code: fields.text("paymentTermCode"),
        payment_term_days: fields.int("paymentTermDays"),
        discount_rate: fields.decimal("discountRate"),
        trading_group: fields.text("tradingGroup"),
        addresses: fields.list("addresses", |address| AddressLine {
            code: address.text("code"),
            title: address.text("title"),
            line1: address.text("line1"),
            line2: address.text("line2"),
            district: address.text("district"),
            town: address.text("town"),
            city: address.text("city"),
            country: address.text("country"),
            postal_code: address.text("postalCode"),
            phone: address.text("phone"),
            is_default: address.flag("isDefault").unwrap_or_default(),
        }),
        is_active: fields.flag("isActive"),
        is_approved: if row.is_new { Patch::Set(true) } else { Patch::Keep },
    }
}

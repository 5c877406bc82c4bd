//! What a customer row must hold.

use std::borrow::Cow;

use rust_decimal::Decimal;

use super::addresses::{self, AddressLine, StoredAddress};
use crate::{
    commerce::{
        Patch, WriteContext, Writer, check,
        outcome::Violation,
        ownership::{CustomerField as F, Given},
    },
    money, turkish,
};

/// A customer as a caller brings it.
#[derive(Debug, Clone, Default)]
pub struct CustomerUpsert<'a> {
    pub id: i64,
    pub is_new: bool,
    pub code: &'a str,
    pub title: Patch<&'a str>,
    /// VKN or TCKN.
    pub tax_number: Patch<&'a str>,
    pub tax_office: Patch<&'a str>,
    pub is_person: Patch<bool>,
    pub contact: Patch<&'a str>,
    pub email: Patch<&'a str>,
    pub phone: Patch<&'a str>,
    pub mobile: Patch<&'a str>,
    pub price_tier: Patch<&'a str>,
    pub credit_limit: Patch<Decimal>,
    pub currency: Patch<&'a str>,
    pub payment_term_code: Patch<&'a str>,
    pub payment_term_days: Patch<i64>,
    pub discount_rate: Patch<Decimal>,
    pub trading_group: Patch<&'a str>,
    pub addresses: Patch<Vec<AddressLine<'a>>>,
    pub is_active: Patch<bool>,
    pub is_approved: Patch<bool>,
}

/// A row that passed, as the statements take it.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) place: usize,
    pub(super) id: i64,
    pub(super) is_new: bool,
    pub(super) given: i64,
    pub(super) code: &'a str,
    pub(super) title: Option<&'a str>,
    pub(super) tax_number: Option<Cow<'a, str>>,
    pub(super) tax_number_valid: Option<bool>,
    pub(super) tax_office: Option<&'a str>,
    pub(super) is_person: bool,
    pub(super) contact: Option<&'a str>,
    pub(super) email: Option<&'a str>,
    pub(super) phone: Option<Cow<'a, str>>,
    pub(super) mobile: Option<Cow<'a, str>>,
    pub(super) price_tier: Option<&'a str>,
    pub(super) credit_limit: Option<Decimal>,
    pub(super) currency: &'a str,
    pub(super) payment_term_code: Option<&'a str>,
    pub(super) payment_term_days: Option<i32>,
    pub(super) discount_rate: Option<Decimal>,
    pub(super) trading_group: Option<&'a str>,
    pub(super) is_active: bool,
    pub(super) is_approved: bool,
    /// `None`: not carried.
    pub(super) addresses: Option<Vec<StoredAddress<'a>>>,
}

pub(super) fn prepare<'a>(
    cx: &WriteContext<'_>,
    place: usize,
    row: &CustomerUpsert<'a>,
) -> Result<Entry<'a>, Violation> {
    let mut given = Given::new(cx.writer, row.is_new);
    let code = check::code(row.code, 100)?;
    given.take(F::Code, &Patch::Set(code));
    let text = check::optional_text;
    let tax_number = text("taxNumber", row.tax_number.map(str::trim), 15)?.map(without_blanks);
    let tax_number = given.optional(F::TaxNumber, tax_number);
    let price_tier = match row.price_tier {
        Patch::Set("") => Patch::Clear,
        tier => tier.try_map(|tier| check::one_of("priceTier", tier, &["A", "B", "C"]))?,
    };
    let credit_limit = |limit| check::not_negative("creditLimit", limit, money::AMOUNT);
    let addresses = if given.take(F::Addresses, &row.addresses) {
        match &row.addresses {
            Patch::Set(lines) => Some(addresses::stored(lines)?),
            Patch::Clear | Patch::Keep => Some(Vec::new()),
        }
    } else {
        None
    };
    Ok(Entry {
        place,
        id: row.id,
        is_new: row.is_new,
        code,
        title: given.optional(F::Title, check::required_text("title", row.title, 200, row.is_new)?),
        tax_number_valid: tax_number.as_deref().map(turkish::is_tax_number),
        tax_number,
        tax_office: given.optional(F::TaxOffice, text("taxOffice", row.tax_office, 100)?),
        is_person: given.defaulted(F::IsPerson, row.is_person, false),
        contact: given.optional(F::Contact, text("contact", row.contact, 200)?),
        email: given.optional(F::Email, text("email", row.email, 254)?),
        phone: given.optional(F::Phone, text("phone", row.phone, 50)?.map(phone)),
        mobile: given.optional(F::Mobile, text("mobile", row.mobile, 50)?.map(phone)),
        price_tier: given.optional(F::PriceTier, price_tier),
        credit_limit: given.optional(F::CreditLimit, row.credit_limit.try_map(credit_limit)?),
        currency: given.defaulted(
            F::Currency,
            row.currency.try_map(|currency| check::currency("currency", currency))?,
            "TRY",
        ),
        payment_term_code: given.optional(F::PaymentTermCode, text("paymentTermCode", row.payment_term_code, 50)?),
        payment_term_days: given.optional(
            F::PaymentTermDays,
            row.payment_term_days.try_map(|days| check::whole("paymentTermDays", days, 3650))?,
        ),
        discount_rate: given
            .optional(F::DiscountRate, row.discount_rate.try_map(|rate| check::percent("discountRate", rate))?),
        trading_group: given.optional(F::TradingGroup, text("tradingGroup", row.trading_group, 50)?),
        is_active: given.defaulted(F::IsActive, row.is_active, true),
        is_approved: given.defaulted(F::IsApproved, row.is_approved, cx.writer == Writer::Source),
        addresses,
        given: given.mask(),
    })
}

fn without_blanks(number: &str) -> Cow<'_, str> {
    if number.contains(char::is_whitespace) {
        Cow::Owned(number.split_whitespace().collect())
    } else {
        Cow::Borrowed(number)
    }
}

fn phone(number: &str) -> Cow<'_, str> {
    turkish::to_e164(number).map_or(Cow::Borrowed(number), Cow::Owned)
}

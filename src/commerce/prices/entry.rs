//! What a price row must hold.

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::role::{JUDGED, ROLES, Terms};
use crate::{
    commerce::{
        Patch, WriteContext,
        check::{self, violation},
        outcome::Violation,
        ownership::{Field, Given, PriceField as F},
    },
    money,
};

/// A price as a caller brings it. References are internal ids; the amount is that of one `unit`, `None` meaning the
/// product's main unit.
#[derive(Debug, Clone, Copy, Default)]
pub struct PriceUpsert<'a> {
    pub id: i64,
    pub is_new: bool,
    pub code: &'a str,
    pub product: Patch<i64>,
    pub role: Patch<&'a str>,
    pub amount: Patch<Decimal>,
    pub currency: Patch<&'a str>,
    pub unit: Patch<&'a str>,
    pub vat_included: Patch<bool>,
    pub min_quantity: Patch<Decimal>,
    pub priority: Patch<i64>,
    pub valid_from: Patch<NaiveDate>,
    pub valid_to: Patch<NaiveDate>,
    pub customer: Patch<i64>,
    pub customer_pattern: Patch<&'a str>,
    pub price_list: Patch<i64>,
    pub tier: Patch<&'a str>,
    pub is_active: Patch<bool>,
}

/// A row that passed, as the statements take it.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) place: usize,
    pub(super) id: i64,
    pub(super) is_new: bool,
    pub(super) given: i64,
    pub(super) code: &'a str,
    pub(super) product: Option<i64>,
    pub(super) role: Option<&'a str>,
    pub(super) amount: Option<Decimal>,
    pub(super) currency: Option<&'a str>,
    pub(super) unit: Option<&'a str>,
    pub(super) vat_included: bool,
    pub(super) min_quantity: Decimal,
    pub(super) priority: i32,
    pub(super) valid_from: Option<NaiveDate>,
    pub(super) valid_to: Option<NaiveDate>,
    pub(super) customer: Option<i64>,
    pub(super) customer_pattern: Option<&'a str>,
    pub(super) price_list: Option<i64>,
    pub(super) tier: Option<&'a str>,
    pub(super) is_active: bool,
}

/// What every price has: a new row must bring it, a known one cannot lose it.
fn required<T>(field: &'static str, patch: Patch<T>, is_new: bool) -> Result<Patch<T>, Violation> {
    match patch {
        Patch::Set(value) => Ok(Patch::Set(value)),
        Patch::Keep if !is_new => Ok(Patch::Keep),
        Patch::Keep | Patch::Clear => Err(check::required(field)),
    }
}

pub(super) fn prepare<'a>(cx: &WriteContext<'_>, place: usize, row: &PriceUpsert<'a>) -> Result<Entry<'a>, Violation> {
    let mut given = Given::new(cx.writer, row.is_new);
    let code = check::code(row.code, 200)?;
    given.take(F::Code, &Patch::Set(code));
    let role = required("role", row.role, row.is_new)?.try_map(|role| check::one_of("role", role, &ROLES))?;
    let amount = required("amount", row.amount, row.is_new)?
        .try_map(|amount| check::not_negative("amount", amount, money::UNIT_PRICE))?;
    let currency =
        required("currency", row.currency, row.is_new)?.try_map(|currency| check::currency("currency", currency))?;
    let priority = row.priority.try_map(|priority| {
        i32::try_from(priority).map_err(|_| violation("priority", "out_of_range", priority, "is too large"))
    })?;
    let min_quantity =
        row.min_quantity.try_map(|quantity| check::not_negative("minQuantity", quantity, money::QUANTITY))?;
    let tier = match row.tier {
        Patch::Set("") => Patch::Clear,
        tier => tier.try_map(|tier| check::one_of("tier", tier, &["A", "B", "C"]))?,
    };
    let entry = Entry {
        place,
        id: row.id,
        is_new: row.is_new,
        code,
        product: given.optional(F::Product, required("product", row.product, row.is_new)?),
        role: given.optional(F::Role, role),
        amount: given.optional(F::Amount, amount),
        currency: given.optional(F::Currency, currency),
        unit: given.optional(F::Unit, check::optional_text("unit", row.unit, 20)?),
        vat_included: given.defaulted(F::VatIncluded, row.vat_included, false),
        min_quantity: given.defaulted(F::MinQuantity, min_quantity, Decimal::ZERO),
        priority: given.defaulted(F::Priority, priority, 0),
        valid_from: given.optional(F::ValidFrom, row.valid_from),
        valid_to: given.optional(F::ValidTo, row.valid_to),
        customer: given.optional(F::Customer, row.customer),
        customer_pattern: given
            .optional(F::CustomerPattern, check::optional_text("customerPattern", row.customer_pattern, 100)?),
        price_list: given.optional(F::PriceList, row.price_list),
        tier: given.optional(F::Tier, tier),
        is_active: given.defaulted(F::IsActive, row.is_active, true),
        given: given.mask(),
    };
    if entry.is_new || entry.says_all() {
        entry.terms(Terms::default()).judge()?;
    }
    Ok(entry)
}

impl Entry<'_> {
    fn gives(&self, field: F) -> bool {
        self.given & field.bit() != 0
    }

    fn says_all(&self) -> bool {
        JUDGED.into_iter().all(|field| self.gives(field))
    }

    /// Whether the row can only be judged together with what the store holds.
    pub(super) fn is_partial(&self) -> bool {
        !self.is_new && !self.says_all() && JUDGED.into_iter().any(|field| self.gives(field))
    }

    /// The terms that the price will have: the row's, and the stored ones where it says nothing.
    pub(super) fn terms(&self, stored: Terms) -> Terms {
        let text = |value: Option<&str>| value.map(str::to_owned);
        Terms {
            role: if self.gives(F::Role) { self.role.unwrap_or_default().to_owned() } else { stored.role },
            customer: if self.gives(F::Customer) { self.customer } else { stored.customer },
            customer_pattern: if self.gives(F::CustomerPattern) {
                text(self.customer_pattern)
            } else {
                stored.customer_pattern
            },
            price_list: if self.gives(F::PriceList) { self.price_list } else { stored.price_list },
            tier: if self.gives(F::Tier) { text(self.tier) } else { stored.tier },
            valid_from: if self.gives(F::ValidFrom) { self.valid_from } else { stored.valid_from },
            valid_to: if self.gives(F::ValidTo) { self.valid_to } else { stored.valid_to },
        }
    }
}

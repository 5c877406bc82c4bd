//! Which columns a role allows, and whether the dates make sense.

use chrono::NaiveDate;

use crate::commerce::{check::violation, outcome::Violation, ownership::PriceField};

pub const ROLES: [&str; 7] = ["list", "dealer", "cost", "tier", "special", "price_list", "none"];

/// The columns that are judged together.
pub(super) const JUDGED: [PriceField; 7] = [
    PriceField::Role,
    PriceField::Customer,
    PriceField::CustomerPattern,
    PriceField::PriceList,
    PriceField::Tier,
    PriceField::ValidFrom,
    PriceField::ValidTo,
];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) role: String,
    pub(super) customer: Option<i64>,
    pub(super) customer_pattern: Option<String>,
    pub(super) price_list: Option<i64>,
    pub(super) tier: Option<String>,
    pub(super) valid_from: Option<NaiveDate>,
    pub(super) valid_to: Option<NaiveDate>,
}

impl Terms {
    pub(super) fn judge(&self) -> Result<(), Violation> {
        let customers = usize::from(self.customer.is_some()) + usize::from(self.customer_pattern.is_some());
        let role = self.role.as_str();
        let wrong = |why: &str| Err(violation("role", "role_columns", role, why));
        if customers > 1 {
            return wrong("names both a customer and a pattern of customers");
        }
        if role != "none" {
            if (role == "tier") != self.tier.is_some() {
                return wrong("and tier belong together: a tier price has a tier, any other has none");
            }
            if (role == "special") != (customers == 1) {
                return wrong(
                    "and customer belong together: a special price names a customer or a pattern, any other none",
                );
            }
            if (role == "price_list") != self.price_list.is_some() {
                return wrong("and priceList belong together: a price of a list names it, any other names none");
            }
        }
        match (self.valid_from, self.valid_to) {
            (Some(from), Some(to)) if to < from => {
                Err(violation("validTo", "out_of_range", to, &format!("is before validFrom, {from}")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(role: &str) -> Terms {
        Terms { role: role.to_owned(), ..Terms::default() }
    }

    #[test]
    fn each_role_has_its_own_columns() {
        let tier = |role| Terms { tier: Some("A".to_owned()), ..terms(role) };
        let customer = |role| Terms { customer: Some(7), ..terms(role) };
        let pattern = |role| Terms { customer_pattern: Some("120.*".to_owned()), ..terms(role) };
        let list = |role| Terms { price_list: Some(3), ..terms(role) };
        for role in ROLES {
            let plain = matches!(role, "list" | "dealer" | "cost" | "none");
            assert_eq!(terms(role).judge().is_ok(), plain, "{role}");
            assert_eq!(tier(role).judge().is_ok(), matches!(role, "tier" | "none"), "{role}");
            assert_eq!(customer(role).judge().is_ok(), matches!(role, "special" | "none"), "{role}");
            assert_eq!(pattern(role).judge().is_ok(), matches!(role, "special" | "none"), "{role}");
            assert_eq!(list(role).judge().is_ok(), matches!(role, "price_list" | "none"), "{role}");
        }
        let both = Terms { customer: Some(7), ..pattern("special") };
        assert_eq!(both.judge().expect_err("refused").rule, "role_columns");
    }

    #[test]
    fn a_period_ends_after_it_begins() {
        let day = |day: u32| NaiveDate::from_ymd_opt(2026, 3, day);
        let period = |from, to| Terms { valid_from: from, valid_to: to, ..terms("list") };
        assert!(period(day(1), day(1)).judge().is_ok());
        assert!(period(None, day(1)).judge().is_ok());
        assert_eq!(period(day(2), day(1)).judge().expect_err("refused").field, "validTo");
    }
}

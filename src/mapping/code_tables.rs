//! Which code tables a mapping uses, and whether an answer fits the fields that would get it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::compiled::Mapping;
use super::rule::{Field, FieldKind, ScalarRule, TableUse};
use super::value::{Formats, OnUnmapped, Overlay, Scalar, TooLong, convert, plain_code};

/// Why a value cannot be the answer for a code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` does not fit {mapping}, field {field}: {why}")]
pub struct BadAnswer {
    pub mapping: String,
    pub field: String,
    pub value: String,
    pub why: String,
}

/// A field that is looked up in a table.
struct Use<'m> {
    /// The target field; `code` and `externalId` for those that are none.
    field: &'static str,
    /// The field of a row, when the target is a list.
    below: Option<&'static str>,
    rule: &'m ScalarRule,
    used: &'m TableUse,
}

impl Mapping {
    fn table_uses(&self) -> Vec<Use<'_>> {
        let mut uses = Vec::new();
        let mut note = |field, below, rule| {
            let rule: &ScalarRule = rule;
            uses.extend(rule.table.as_ref().map(|used| Use { field, below, rule, used }));
        };
        note("code", None, &self.code);
        if let Some(rule) = &self.external_id {
            note("externalId", None, rule);
        }
        for Field { spec, kind, .. } in &self.fields {
            match kind {
                FieldKind::Scalar(rule) => note(spec.name, None, rule),
                FieldKind::List(list) => {
                    for inner in &list.fields {
                        if let FieldKind::Scalar(rule) = &inner.kind {
                            note(spec.name, Some(inner.spec.name), rule);
                        }
                    }
                }
                FieldKind::Object(_) => {}
            }
        }
        uses
    }

    /// The code tables that its fields are looked up in.
    pub fn tables(&self) -> BTreeSet<&str> {
        self.table_uses().into_iter().map(|one| one.used.table.name.as_str()).collect()
    }

    /// Whether records are taken although a code of this table is not known: as `unmapped = "keep"` or `"null"` say.
    pub fn takes_unmapped(&self, table: &str) -> bool {
        self.table_uses().iter().any(|one| one.used.table.name == table && one.used.on_unmapped != OnUnmapped::Fail)
    }

    /// Whether the table gives something for the code, by the file or by an answer.
    pub fn knows(&self, table: &str, code: &str, overlay: &Overlay) -> bool {
        let uses = self.table_uses();
        uses.iter().any(|one| one.used.table.name == table && one.used.table.get(plain_code(code), overlay).is_some())
    }

    /// Whether what was found in a target field (`currency`, `units[0].code`) is a known code now.
    pub fn knows_in_field(&self, field: &str, code: &str, overlay: &Overlay) -> bool {
        let name = field.split(['[', '.', ' ']).next().unwrap_or(field);
        self.table_uses().iter().any(|one| one.field == name && one.used.table.get(plain_code(code), overlay).is_some())
    }

    /// Whether every field that is looked up in the table could take the value. An empty one says that there is nothing
    /// for the code.
    pub fn check_answer(&self, table: &str, value: &str) -> Result<(), BadAnswer> {
        for one in self.table_uses().into_iter().filter(|one| one.used.table.name == table && !value.is_empty()) {
            let scalar = Scalar::Text(Cow::Borrowed(value));
            let formats = Formats { too_long: TooLong::Fail, ..one.rule.formats };
            let why = match convert(scalar, one.rule.kind, formats) {
                Err(refusal) => Some(refusal.detail),
                Ok(_) => beyond_its_type(one.below.unwrap_or(one.field), value).map(str::to_owned),
            };
            if let Some(why) = why {
                let field = one.below.map_or_else(|| one.field.to_owned(), |below| format!("{}.{below}", one.field));
                return Err(BadAnswer { mapping: self.name().to_owned(), field, value: value.to_owned(), why });
            }
        }
        Ok(())
    }
}

/// What the store would refuse although the type allows it.
fn beyond_its_type(field: &str, value: &str) -> Option<&'static str> {
    let number = || value.parse::<Decimal>().ok();
    let wrong = match field {
        "currency" => !(value.len() == 3 && value.bytes().all(|byte| byte.is_ascii_uppercase())),
        "tier" | "priceTier" => !["A", "B", "C"].contains(&value),
        "role" => !["list", "dealer", "cost", "tier", "special", "price_list", "none"].contains(&value),
        "vatRate" | "discountRate" => number().is_some_and(|rate| rate > Decimal::ONE_HUNDRED),
        "paymentTermDays" | "warrantyMonths" => number().is_some_and(|number| number.is_sign_negative()),
        _ => false,
    };
    wrong.then_some(match field {
        "currency" => "a currency is three capital letters, such as TRY",
        "tier" | "priceTier" => "a price tier is A, B or C",
        "role" => "a role is list, dealer, cost, tier, special, price_list or none",
        "vatRate" | "discountRate" => "a rate is between 0 and 100",
        _ => "it must not be negative",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Library;

    const PRICES: &str = r#"
entity = "price"
[records]
json = "items"
[key]
from = "CODE"
[fields.product]
from = "CARD"
[fields.role]
value = "list"
[fields.amount]
from = "PRICE"
[fields.currency]
from = "CURRENCY"
table = "currency"
[fields.unit]
from = "UNIT"
table = "unit"
unmapped = "keep"
[tables.currency]
160 = "TRY"
[tables.unit]
AD = "ADET"
"#;

    #[test]
    fn answers_are_checked_against_every_field_that_would_get_them() {
        let library = Library::from_texts(&[("x/prices.toml", PRICES)]).unwrap();
        let mapping = library.get("x/prices").unwrap();
        assert_eq!(mapping.tables(), BTreeSet::from(["currency", "unit"]));
        assert_eq!(mapping.check_answer("currency", "JPY"), Ok(()));
        assert_eq!(mapping.check_answer("currency", ""), Ok(()));
        for bad in ["jpy", "YEN4", "¥"] {
            let told = mapping.check_answer("currency", bad).unwrap_err().to_string();
            assert!(told.starts_with(&format!("`{bad}` does not fit x/prices, field currency: ")), "{told}");
        }
        assert!(mapping.check_answer("unit", &"x".repeat(21)).is_err());
        assert_eq!(mapping.check_answer("unit", "KUTU"), Ok(()));
        assert!(mapping.takes_unmapped("unit") && !mapping.takes_unmapped("currency"));
    }

    #[test]
    fn a_letters_field_and_value_find_their_table() {
        let library = Library::from_texts(&[("x/prices.toml", PRICES)]).unwrap();
        let mapping = library.get("x/prices").unwrap();
        let mut overlay = Overlay::new();
        assert!(!mapping.knows_in_field("currency (CURRENCY)", "13.0", &overlay));
        overlay.insert("currency", "13", "JPY");
        assert!(mapping.knows_in_field("currency (CURRENCY)", "13.0", &overlay));
        assert!(!mapping.knows_in_field("unit (UNIT)", "13", &overlay));
        assert!(mapping.knows("currency", "160.0 ", &overlay) && !mapping.knows("unit", "160", &overlay));
    }
}

//! Turkish facts: letters, tax numbers, telephone numbers, IBAN, VAT (KDV) rates. Pure functions.
//!
//! Invariants
//! - Codes are never folded; [`fold`] is for names and for finding.
//! - A check answers about the number's form. That it belongs to somebody, only its issuer knows.

mod iban;
mod letters;
mod phone;
mod tax_number;
mod vat;

pub use iban::is_iban;
pub use letters::{fold, lower, slug, upper};
pub use phone::to_e164;
pub use tax_number::{is_tax_number, is_tckn, is_vkn};
pub use vat::{VatRates, vat_rates_on};

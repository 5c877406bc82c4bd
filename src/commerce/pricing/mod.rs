//! What a product costs a dealer.
//!
//! The rules, in their order: special price of the customer, special price of a pattern of customer codes, price list of
//! the customer, the customer's tier, dealer price, list price. The first rule with a row that counts gives the price.
//!
//! A row counts when it is active, the day lies within its dates (both included), its unit is one of the product's, the
//! quantity reaches its `min_quantity` (told in the row's own unit), and its amount is above 0 (or 0 is allowed).
//!
//! Among rows of one rule, in this order:
//! 1. the nearer one: a longer pattern before a shorter, the list with the smaller number in the customer's order;
//! 2. the one in the customer's currency;
//! 3. the greatest `min_quantity` (in the main unit);
//! 4. the smallest `priority`, as LOGO counts it;
//! 5. the newest `valid_from`; a row without one is the oldest;
//! 6. the newest row.
//!
//! Invariants
//! - What is kept for showing ([`offers_of`]) is reckoned by the same texts; a property test holds [`price`] to them.
//! - One statement prices a whole page, and the rules stand in one text (`sql/`) that lists, orders and explanations share.
//! - The answer is the net price of one of the asked unit, rounded to 6 decimals half away from zero: a row in another
//!   unit is converted by the product's factors, a row with VAT inside is freed of it by the product's rate (of a product
//!   without a rate nothing is taken away).
//! - A customer's discount is no part of the unit price: it is a line of its own in an order.
//! - Currencies are never converted here.

mod explain;
mod offers;
mod packed;
mod query;
mod quote;
mod shelf;

pub use explain::{Candidate, Explanation, Verdict, explain};
pub use offers::{Offer, Terms, offers_of, price, terms_of};
pub use packed::{FORM as PACKED_FORM, pack, unpack};
pub(crate) use query::pricing_sql;
pub use query::{Ask, Dealer, Priced, Rule, prices_for};
pub use quote::Quote;
pub use shelf::{EVERYBODY, ShelfRow, audiences_of, shelf_rows};

//! Lists in which prices decide: sorted by price, or between two prices.
//!
//! Invariants
//! - The shelf (`commerce.shelf`) follows the rows of prices; what has changed since it was last brought up is known by the feed of
//!   changes, and such products are priced by the rules themselves. Both are read in one snapshot, so that no list is older
//!   than its transaction.
//! - What the shelf cannot answer (it is being filled, too much has changed, two audiences are equally near, a price of 0 counts)
//!   is left to the list that prices every product; both give the same pages.
//! - With its prices a product is written down as pages show it ([`super::written`]).
//! - It is begun when somebody reads a list or a product for the first time: a hub that only takes pushes keeps none.
//! - One at a time on a database brings it up; it makes way for others: a flood of changes is followed slowly.

mod keep;
mod walk;

pub use keep::Turn;
pub(super) use keep::{outran, run, turn};
pub(super) use walk::{Order, count, order};

/// More changed products than that are not priced one by one in a question.
const MOST_CHANGED: i64 = 2_000;
/// The audience of products with more price rows than are kept: they are always priced by the rules.
const ODD: &str = "!";

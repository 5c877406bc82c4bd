//! The catalogue as people read it: lists with a dealer's prices, one product, the category tree, brands.
//!
//! Invariants
//! - A page is one statement, whoever asks: its products as they lie written down ([`written`]), with the rows that price them and their
//!   stock. A second one reads those that have changed since. References of a filter (category with all below it, brand) and where the
//!   words of a search are ([`leaves`]) are looked up before it.
//! - What a page costs does not depend on how many products there are, as long as it is sorted by name, code or age, and
//!   does when prices decide as long as the shelf ([`shelf`]) is up to date.
//! - Dealers see active products that nobody deleted; people who edit products see all when they ask for it.
//! - Stock is told in figures to who may see it, to others as yes or no; a cost to nobody without the permission.
//! - Figures of prices in different currencies are compared as they are: nothing here knows exchange rates.

mod detail;
mod filter;
mod found;
mod kept;
mod leaves;
mod list;
mod reader;
mod search;
mod shelf;
mod tree;
mod written;

pub use detail::{Detail, Image, Level, Unit, Which};
pub use filter::{Filter, Found, References, Sort};
pub use kept::{Forms, Goods, MAX_AGE, Shown, Written, trim};
pub use list::{Listed, Named, Price};
pub use reader::Reader;
pub use search::{BadSearch, Words};
pub use shelf::Turn;
pub use tree::{Brand, Category};
pub use written::{LINE_FORM, Line};

use chrono::NaiveDate;

use crate::commerce::pricing::Dealer;

/// Who reads, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Viewer {
    pub dealer: Dealer,
    /// Of Istanbul.
    pub day: NaiveDate,
    pub sees_stock: bool,
    pub sees_costs: bool,
    /// Products that are out of use or deleted as well.
    pub sees_all: bool,
}

//! Products as they lie in the store written down (`commerce.written_product`): what a page says of each, ready to be sent, and the rows
//! that may give somebody its price. So a page is an index walk and one look for each product, whoever asks.
//!
//! Invariants
//! - Nobody who writes products keeps it: whoever brings up the shelf ([`super::shelf`]) does, from the feed of changes. A page reads
//!   feed and products in one statement, and what has changed since is read from its tables, so that nothing old is shown.
//! - Stock is never written down: it is read with the page.
//! - The price is chosen among the product's rows as it is for what is kept in the process ([`pricing::price`]).
//! - What was written down in another form than this program's is as good as nothing.

mod keep;
mod read;

pub(super) use keep::put;
pub(super) use read::{Kept, kept, kept_whole, line, page};

use super::Written;
use crate::commerce::pricing::Quote;

/// A product of a page, or one alone: written down, with what is read when it is asked for. `S`: its stock.
#[derive(Debug)]
pub struct Line<S> {
    pub written: Written,
    pub quote: Option<Quote>,
    pub in_stock: bool,
    /// `None`: not for this viewer, or it is not counted.
    pub stock: Option<S>,
}

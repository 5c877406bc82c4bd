//! Products as they lie in the store written down (`commerce.written_product`, `commerce.written_page`): what a page says of each, ready
//! to be sent, its stock, and the rows that may give somebody its price. So a page is an index walk and one look for each product,
//! whoever asks.
//!
//! Invariants
//! - Nobody who writes products keeps it: whoever brings up the shelf ([`super::shelf`]) does, from the feed of changes. A page reads
//!   feed and products in one statement ([`news`]), and what has changed since is read from its tables, so that nothing old is shown.
//! - What a dealer's prices depend on is remembered for a moment, and the statement of the page tells whether it still holds ([`dealers`]).
//! - The price is chosen among the product's rows as it is for what is kept in the process ([`pricing::price`]).
//! - What was written down in another form than this program's is as good as nothing.
//!
//! [`pricing::price`]: crate::commerce::pricing::price

mod dealers;
mod keep;
mod levels;
mod news;
mod packed;
mod read;

pub(super) use dealers::Dealers;
pub(super) use keep::{put, restock};
pub use packed::FORM as LINE_FORM;
pub(super) use read::{Kept, kept, kept_whole, line, page};

use super::Written;
use crate::commerce::pricing::Quote;

/// A product of a page, or one alone: written down, with what is found when it is asked for. Stock that this viewer may not see is
/// left out of it.
#[derive(Debug)]
pub struct Line {
    pub written: Written,
    pub quote: Option<Quote>,
    pub in_stock: bool,
}

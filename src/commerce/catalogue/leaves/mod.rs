//! What a search by names is found in: the products that dealers see, in the order of their names, some sixty in a leaf
//! (`commerce.search_leaf`). Which leaves may hold the words an index tells, so that what is found first is read first, and the rest not
//! at all: that many products hold a word costs nothing, and neither does that all of them stand at the end.
//!
//! Invariants
//! - Nobody who writes products keeps it: it is brought up with the shelf ([`super::shelf`]), from the feed of changes.
//! - Products that changed since are left out here and told by their ids; whoever reads a page looks at them, and at all that was
//!   found, once more. So a leaf may say too much, and never hides anything.
//! - Where the leaves cannot tell (they are not all there, too much has changed, what may match is everywhere and matches nowhere) the
//!   products themselves are searched.

mod find;
mod keep;

pub(super) use find::find;
pub(super) use keep::{bring_up, forget};

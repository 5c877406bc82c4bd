//! Mark and sweep: what a complete pass did not find any more is deactivated.
//!
//! Invariants
//! - Only a pass that was complete and marked from its beginning is followed by a sweep; one that is interrupted and
//!   resumed keeps its marks, a new one starts with none.
//! - Swept is only what belongs to the pass's stream, was last written before the pass began, and was not seen. A record
//!   that is there counts as seen whatever became of it: refused, left out by the mapping, waiting.
//! - Above the guard, or when the pass cannot be trusted, nothing happens until a person says so.
//! - What a sweep deactivated can be undone; what a person wants kept is left alone until the record's next document.
//! - Marks cost an unchanged pass one row for each time that its position is written.
//!
//! Unit sets know no inactive state, and a stock level is a figure and no record: neither is swept.

mod decide;
mod marks;
mod policy;
mod preview;
mod select;
mod work;

pub use decide::{
    Asking, Sweep, SweepDetail, SweepError, SweepItem, approve, asking, forget_old, get, list, reject, undo,
};
pub use marks::{Seen, begin, complete, forget, write};
pub use policy::{Mode, SweepPolicy, is_swept};
pub use preview::{Listed, Preview, Removal, removals};
pub use work::{advance, advance_stream};

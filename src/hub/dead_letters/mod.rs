//! Dead letters: what could not go in, kept with its payload until a person or a newer document resolves it.
//!
//! Invariants
//! - One open letter per key: a record that fails again is the same letter, seen once more.
//! - Equal failures share a fingerprint.
//! - Nothing that carries less takes a letter's place or ends it: the prices of a push outlive a card without prices.
//! - A letter ends in history as replayed, superseded or discarded (with a reason); none is ever just deleted.
//! - A replay keeps the receipt and version of the original, so what has been overtaken writes nothing.
//! - What a person edits stands beside what came, never in its place.
//! - A plan means the letters that were there when it was made, whatever comes later.

mod arrived;
mod carried;
mod discard;
mod filter;
mod list;
mod marked;
mod plans;
mod replay;
mod show;
mod slices;
mod store;
mod told;

pub use arrived::arrived;
pub use carried::{answered_for, carried, carried_by, names_of};
pub use discard::{discard, discard_within};
pub use filter::{Filter, KEYS};
pub use list::{Group, Letter, OpenCount, Total, count, groups, is_open, list, open_counts, tally};
pub use plans::{
    Action, Outcome, Plan, PlanDetail, PlanError, Share, cancel, cancel_within, forget_unused, get, get_within, plan,
    plan_within, plans, start, start_within,
};
pub use replay::{EditError, edit, edit_within, replay, replay_within};
pub use show::{Earlier, LetterDetail, Made, Sibling, show};
pub use slices::{Slice, slice};
pub use store::{
    Arrival, LetterError, NewLetter, called_off, fingerprint, overtaken, record, reopen, resolve, supersede,
};
pub(in crate::hub) use told::{Created, tell};

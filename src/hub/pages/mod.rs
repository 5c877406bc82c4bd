//! How records of one entity reach the commerce tables: the same way for a polled page, a push and a replay.
//!
//! Invariants
//! - Everything that a page causes (rows, links, events, letters, parked records, cursor) commits together.
//! - One bad record spoils nothing: what the command refuses, and what the database refuses, is told per record.
//! - Unchanged costs nothing: its link is read and nothing is written.
//! - Locks are taken in the order of codes within an entity, entities in the order of [`crate::canonical::Entity::ALL`]; of an
//!   item that stands alone those of all its links come first.

mod ahead;
mod apply;
mod batch;
mod items;
mod plan;
mod record;
mod references;
mod store;

pub use ahead::Known;
pub use apply::{ApplyContext, ApplyError, Failure, Had, Verdict, apply_marking};
pub use items::{Fate, Items, ItemsContext, Receipt};
pub use plan::{Incoming, Standing, Twins, fold, is_older, standing, turns, twins};
pub(super) use record::drop_overtaken;
pub use record::{MappedPage, PageContext, Pending, Step, apply_page, flush, missing_of, rejected};
pub use references::missing_reference;
pub(super) use store::{StoredPage, StoredRecord, overtake_left, store};

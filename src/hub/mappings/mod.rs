//! The mappings at work: what is in force, taking over an edit without a restart, and the codes that no table knows.
//!
//! | module | subject |
//! | --- | --- |
//! | [`shelf`] | the library and the answers that are in force in this process |
//! | [`watch`] | looks at the files and the answers every few seconds, and takes over what is sound |
//! | [`state`] | what every daemon works by, and why it refused the last edit |
//! | [`unmapped`] | external codes that no table knows, counted |
//! | [`overlay`] | what a person answered for them |
//! | [`waiting`] | what failed for a code that is known now |
//! | [`preview`], [`stored`], [`trial`] | what a document, or what is stored, would change; writes nothing |
//!
//! Invariants
//! - A page or batch is mapped by one set of rules, whatever is taken over meanwhile.
//! - An edit is taken over whole or not at all; while it is unsound, or lacks a mapping that a stream needs, the old one
//!   is in force and the error is shown.
//! - Files and the store are the truth. A signal or a notification only makes a daemon look at once.
//! - A replay is mapped with the newest answers, in whichever process it is worked off.

pub mod overlay;
pub mod preview;
mod shelf;
pub mod state;
pub mod stored;
pub mod trial;
pub mod unmapped;
pub mod waiting;
pub mod watch;

pub use shelf::{InForce, Shelf, system_of};

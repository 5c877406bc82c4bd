//! The rules of a mapping, compiled: each takes a record's slots and gives a canonical value or says why not.

mod condition;
mod expression;
mod field;
mod list;
mod object;
mod scalar;
mod version;

pub(super) use condition::{Condition, Pattern, Test, all_hold};
pub(super) use expression::Expression;
pub use field::OnMissing;
pub(super) use field::{Absent, Failure, Field, FieldKind, Page, Required};
pub(super) use list::{ListRule, Rows};
pub(super) use object::{Entry, ObjectRule};
pub(super) use scalar::{Blanks, Case, Join, Piece, ScalarRule, Source, TableUse, Then};
pub(super) use version::{VersionRule, VersionSource};

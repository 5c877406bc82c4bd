//! Reading mapping files: TOML with places, all problems at once, compiled into [`super::Mapping`]s.

mod built_in;
mod compile;
mod condition;
mod field;
mod files;
mod library;
mod origin;
mod outbound;
mod section;
mod tables;
mod version;

pub use files::Files;
pub(super) use library::CaseFile;
pub use library::Library;
pub(super) use section::{Section, literal, parse_document};

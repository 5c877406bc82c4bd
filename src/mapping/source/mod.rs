//! Finding the records of a page and the fields of a record, in JSON, XML and CSV.
//!
//! JSON is read in one pass, without a tree: of each record the needed top-level keys are kept as slices of the page
//! (slots), everything else is skipped. XML and CSV records are turned into small JSON objects first, so that one
//! evaluation serves all three.

mod csv;
mod json;
mod page;
mod path;
mod shape;
mod xml;

pub(super) use csv::CsvRecords;
pub(super) use json::{JsonRecords, items_of, read_row, wrapped};
pub use page::{Format, Unreadable};
pub(super) use page::{Found, Records, Taker, read_page, standalone};
pub(super) use path::Path;
pub(super) use shape::{Row, Shape};
pub(super) use xml::{MAX_DEPTH, XmlRecords, resolved, write_string};

//! From the text of a source's field to a value of the canonical model.

mod contact;
mod convert;
mod date;
mod number;
mod refusal;
mod scalar;
mod table;
mod transform;

pub(super) use convert::{Formats, TooLong, convert};
pub(super) use date::{DateFormat, Stamp, parse_date, parse_packed_time, parse_stamp, to_epoch};
pub(super) use number::{NumberFormat, parse_number, whole};
pub use refusal::Reason;
pub(super) use refusal::Refusal;
pub(super) use scalar::{Literal, Scalar};
pub(super) use table::{OnUnmapped, Table, UnmappedCount};
pub use table::{Overlay, Unmapped, plain_code};
pub(super) use transform::Transform;

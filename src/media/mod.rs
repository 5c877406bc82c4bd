//! Pictures that people upload: judged by what they hold, drawn anew, kept under the hash of what was drawn.
//!
//! Invariants
//! - What is kept was encoded here: nothing of the file that was sent gets to a reader, no metadata and no second content.
//! - The number of pixels is known before anything is decoded.
//! - A name is the hash of the content, so what stands under a name never changes and may be cached for ever.

mod picture;
mod store;
mod sweep;

pub use picture::{BadPicture, LARGEST_BYTES, LARGEST_PIXELS, Picture};
pub use store::{MediaError, MediaStore, Stored};
pub use sweep::sweep;

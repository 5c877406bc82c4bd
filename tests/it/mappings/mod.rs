//! Mappings at work: edits taken over without a restart, unmapped codes and their answers, previews, recorded answers.

mod codes;
mod preview;
mod reading;
mod reload;
mod support;

//! Why a value cannot be taken.

use std::fmt;

/// The rule that a value broke. The words are stable: dead letters are grouped by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    MissingCode,
    MissingField,
    TooLong,
    WrongType,
    Negative,
    TooLarge,
    NotANumber,
    NotAnInteger,
    NotADate,
    NotAFlag,
    UnmappedCode,
    BadCharacter,
    Expression,
}

impl Reason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::MissingCode => "missing_code",
            Reason::MissingField => "missing_field",
            Reason::TooLong => "too_long",
            Reason::WrongType => "wrong_type",
            Reason::Negative => "negative",
            Reason::TooLarge => "too_large",
            Reason::NotANumber => "not_a_number",
            Reason::NotAnInteger => "not_an_integer",
            Reason::NotADate => "not_a_date",
            Reason::NotAFlag => "not_a_flag",
            Reason::UnmappedCode => "unmapped_code",
            Reason::BadCharacter => "bad_character",
            Reason::Expression => "expression",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value that was refused, before anyone knows whose field it was.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::mapping) struct Refusal {
    pub reason: Reason,
    pub detail: String,
}

impl Refusal {
    pub(in crate::mapping) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Refusal { reason, detail: detail.into() }
    }
}

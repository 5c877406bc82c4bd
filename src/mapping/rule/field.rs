//! One target field: how its value comes about, and what an absent source means for it.

use std::sync::Arc;

use crate::canonical::{FieldSpec, FieldType, Value};
use crate::mapping::source::{Format, Row};
use crate::mapping::value::{Overlay, Reason, Refusal, UnmappedCount};

use super::list::ListRule;
use super::object::ObjectRule;
use super::scalar::ScalarRule;

/// What to do with a record that refers to something not there yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OnMissing {
    /// Keep the record until the other one arrives.
    #[default]
    Defer,
    /// Make an empty record under that code.
    Create,
    /// Make the one of this code, the field's default; refuse the record that names another.
    CreateDefault(Arc<str>),
    /// Refuse the record.
    Fail,
}

impl OnMissing {
    /// Whether a record of that code may be made because another one names it.
    pub fn makes(&self, code: &str) -> bool {
        match self {
            OnMissing::Create => true,
            OnMissing::CreateDefault(default) => **default == *code,
            OnMissing::Defer | OnMissing::Fail => false,
        }
    }

    /// Whether a record that names what is not there is refused.
    pub const fn refuses(&self) -> bool {
        matches!(self, OnMissing::Fail | OnMissing::CreateDefault(_))
    }

    pub(in crate::mapping) const NAMES: [&'static str; 4] = ["defer", "create", "create_default", "fail"];

    pub(in crate::mapping) fn parse(name: &str) -> Option<Self> {
        match name {
            "defer" => Some(OnMissing::Defer),
            "create" => Some(OnMissing::Create),
            "create_default" => Some(OnMissing::CreateDefault("".into())),
            "fail" => Some(OnMissing::Fail),
            _ => None,
        }
    }
}

/// What it means that the source does not carry a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::mapping) enum Absent {
    /// Nothing is known: what the store has stays.
    #[default]
    Keep,
    /// It is empty: the source leaves out what is empty.
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mapping) enum Required {
    No,
    Yes,
    /// A source may leave it alone, and must not empty it. Whether a new record lacks it, its command tells.
    WhenNew,
}

#[derive(Debug)]
pub(in crate::mapping) struct Field {
    /// Place in the entity's (or list's) fields.
    pub target: usize,
    pub spec: &'static FieldSpec,
    pub kind: FieldKind,
    pub required: Required,
    /// By format: json, xml, csv.
    pub absent: [Absent; 3],
    pub on_missing: OnMissing,
    /// A unit that neither its product nor anybody else has is refused.
    pub known_unit: bool,
}

#[derive(Debug)]
pub(in crate::mapping) enum FieldKind {
    Scalar(ScalarRule),
    List(ListRule),
    Object(ObjectRule),
}

/// A refusal with what a person needs to find the value.
#[derive(Debug)]
pub(in crate::mapping) struct Failure {
    /// The part below the field, when it is one: `[1].barcode`.
    pub below: String,
    pub source: String,
    pub value: Option<String>,
    pub refusal: Refusal,
}

/// What evaluation needs beside the record.
pub(in crate::mapping) struct Page<'p> {
    pub format: Format,
    pub overlay: &'p Overlay,
    pub unmapped: &'p mut UnmappedCount,
}

impl Field {
    /// Whether the record says nothing of the field, and nothing follows from that. Most fields of most records.
    pub(in crate::mapping) fn is_untouched(&self, row: Row<'_, '_>, format: Format) -> bool {
        let keeps = self.absent[format as usize] == Absent::Keep && self.required != Required::Yes;
        keeps && matches!(&self.kind, FieldKind::Scalar(rule) if rule.is_missing(row))
    }

    pub(in crate::mapping) fn value<'a>(&self, row: Row<'_, 'a>, page: &mut Page<'_>) -> Result<Value<'a>, Failure> {
        let value = match &self.kind {
            FieldKind::Scalar(rule) => rule.value(row, page)?,
            FieldKind::List(rule) => rule.value(row, page)?,
            FieldKind::Object(rule) => rule.value(row)?,
        };
        let value = match value {
            Value::Absent if self.absent[page.format as usize] == Absent::Null => match self.spec.kind {
                FieldType::List(_) => Value::List(Vec::new()),
                _ => Value::Null,
            },
            other => other,
        };
        // What the source does not say is not known, and no default stands in for it.
        let value = match (&self.kind, value) {
            (FieldKind::Scalar(ScalarRule { default: Some(default), .. }), Value::Null) => default.clone(),
            (_, value) => value,
        };
        let empty = match &value {
            Value::Absent | Value::Null => true,
            Value::List(rows) => rows.is_empty(),
            _ => false,
        };
        let lacking = match self.required {
            Required::No => false,
            Required::Yes => empty,
            Required::WhenNew => empty && value.is_present(),
        };
        if lacking {
            return Err(Failure {
                below: String::new(),
                source: self.source(),
                value: None,
                refusal: Refusal::new(
                    Reason::MissingField,
                    "the field is required, and the source gives nothing for it",
                ),
            });
        }
        Ok(value)
    }

    /// What the source gives before anything is done to it, for people.
    pub(in crate::mapping) fn given(&self, row: Row<'_, '_>) -> Option<String> {
        match &self.kind {
            FieldKind::Scalar(rule) => rule.given(row),
            FieldKind::List(rule) => rule.given(row),
            FieldKind::Object(_) => None,
        }
    }

    /// The paths that the value may come from, for people.
    pub(in crate::mapping) fn source(&self) -> String {
        match &self.kind {
            FieldKind::Scalar(rule) => rule.described(),
            FieldKind::List(rule) => rule.described(),
            FieldKind::Object(rule) => rule.described(),
        }
    }
}

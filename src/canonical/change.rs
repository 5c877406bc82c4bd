//! One record of an entity as a source gave it, and its content hash.

use std::borrow::Cow;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use xxhash_rust::xxh3::Xxh3Default;

use super::schema::Entity;

/// 128 bits over the canonical content; equality means "nothing to do".
pub type Hash = [u8; 16];

#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value<'a> {
    /// The source does not carry the field: what the store has stays.
    #[default]
    Absent,
    /// The source says: empty.
    Null,
    Text(Cow<'a, str>),
    Int(i64),
    Decimal(Decimal),
    Bool(bool),
    Date(NaiveDate),
    /// A JSON object, as text with its keys sorted.
    Json(Cow<'a, str>),
    /// Rows in the order of the source; each in the order of the list's own fields.
    List(Vec<Vec<Value<'a>>>),
}

/// Orders documents of one key. Compared only within a kind (`logo.stamp`, `push.version` …).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub kind: Cow<'static, str>,
    pub value: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Change<'a> {
    pub entity: Entity,
    /// The external code, trimmed of blanks on the right; never folded.
    pub code: Cow<'a, str>,
    /// The source's internal number (LOGO's LOGICALREF), when it has one.
    pub external_id: Option<Cow<'a, str>>,
    pub version: Option<Version>,
    /// As long as `entity.fields()`; none when it is recalled.
    pub values: Vec<Value<'a>>,
    pub hash: Hash,
    /// Place of the record in its page, from 0.
    pub ordinal: u32,
}

impl<'a> Value<'a> {
    pub const fn is_present(&self) -> bool {
        !matches!(self, Value::Absent)
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) | Value::Json(text) => Some(text),
            _ => None,
        }
    }

    pub const fn as_decimal(&self) -> Option<Decimal> {
        match self {
            Value::Decimal(number) => Some(*number),
            _ => None,
        }
    }

    pub const fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    pub const fn as_date(&self) -> Option<NaiveDate> {
        match self {
            Value::Date(date) => Some(*date),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Vec<Value<'a>>]> {
        match self {
            Value::List(rows) => Some(rows),
            _ => None,
        }
    }

    /// The same value without a borrow from the page.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Absent => Value::Absent,
            Value::Null => Value::Null,
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Int(number) => Value::Int(number),
            Value::Decimal(number) => Value::Decimal(number),
            Value::Bool(flag) => Value::Bool(flag),
            Value::Date(date) => Value::Date(date),
            Value::Json(text) => Value::Json(Cow::Owned(text.into_owned())),
            Value::List(rows) => {
                Value::List(rows.into_iter().map(|row| row.into_iter().map(Value::into_owned).collect()).collect())
            }
        }
    }

    fn digest(&self, place: u16, hasher: &mut Xxh3Default) {
        let tag: u8 = match self {
            Value::Absent => return,
            Value::Null => 0,
            Value::Text(_) => 1,
            Value::Int(_) => 2,
            Value::Decimal(_) => 3,
            Value::Bool(_) => 4,
            Value::Date(_) => 5,
            Value::Json(_) => 6,
            Value::List(_) => 7,
        };
        let [high, low] = place.to_be_bytes();
        hasher.update(&[high, low, tag]);
        match self {
            Value::Absent | Value::Null => {}
            Value::Text(text) | Value::Json(text) => {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
            Value::Int(number) => hasher.update(&number.to_le_bytes()),
            Value::Decimal(number) => hasher.update(&number.normalize().serialize()),
            Value::Bool(flag) => hasher.update(&[u8::from(*flag)]),
            Value::Date(date) => hasher.update(&chrono::Datelike::num_days_from_ce(date).to_le_bytes()),
            Value::List(rows) => {
                hasher.update(&(rows.len() as u64).to_le_bytes());
                for row in rows {
                    hasher.update(&[0xFE]);
                    for (place, value) in row.iter().enumerate() {
                        value.digest(place as u16, hasher);
                    }
                }
            }
        }
    }
}

impl Change<'_> {
    /// Whether only what it is compared by is known of it ([`crate::mapping::Memory`]); then it has no values.
    pub fn is_recalled(&self) -> bool {
        self.values.is_empty()
    }

    /// The same change without a borrow from the page.
    pub fn into_owned(self) -> Change<'static> {
        Change {
            entity: self.entity,
            code: Cow::Owned(self.code.into_owned()),
            external_id: self.external_id.map(|id| Cow::Owned(id.into_owned())),
            version: self.version,
            values: self.values.into_iter().map(Value::into_owned).collect(),
            hash: self.hash,
            ordinal: self.ordinal,
        }
    }
}

/// The content hash of a record: entity, and every present field in schema order.
pub fn hash_of(entity: Entity, values: &[Value<'_>]) -> Hash {
    let mut hasher = Xxh3Default::new();
    hasher.update(entity.as_str().as_bytes());
    for (place, value) in values.iter().enumerate() {
        value.digest(place as u16, &mut hasher);
    }
    hasher.digest128().to_be_bytes()
}

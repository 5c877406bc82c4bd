//! A JSON object made of fields of the record: attributes.

use std::borrow::Cow;

use crate::canonical::Value;
use crate::mapping::source::{Path, Row};
use crate::mapping::value::{Reason, Refusal, Scalar, Transform};

use super::field::Failure;

#[derive(Debug)]
pub(in crate::mapping) struct ObjectRule {
    /// In the order of the keys, so that equal content is equal text.
    pub entries: Vec<Entry>,
    pub transforms: Vec<Transform>,
}

#[derive(Debug)]
pub(in crate::mapping) struct Entry {
    /// The key as a JSON string.
    pub key: String,
    pub paths: Vec<Path>,
}

impl ObjectRule {
    /// Entries without content are left out. Absent when the record carries none of the fields.
    pub(in crate::mapping) fn value<'a>(&self, row: Row<'_, '_>) -> Result<Value<'a>, Failure> {
        let mut out = String::new();
        let mut carried = false;
        for entry in &self.entries {
            for path in &entry.paths {
                let failed = |refusal| Failure {
                    below: String::new(),
                    source: path.text.to_string(),
                    value: path.shown(row),
                    refusal,
                };
                let mut scalar = path.get(row).map_err(failed)?;
                carried |= !matches!(scalar, Scalar::Missing);
                for transform in &self.transforms {
                    scalar = transform.apply(scalar).map_err(failed)?;
                }
                if scalar.is_empty() {
                    continue;
                }
                out.push(if out.is_empty() { '{' } else { ',' });
                out.push_str(&entry.key);
                out.push(':');
                write(&scalar, &mut out).map_err(failed)?;
                break;
            }
        }
        Ok(match (out.is_empty(), carried) {
            (false, _) => {
                out.push('}');
                Value::Json(Cow::Owned(out))
            }
            (true, true) => Value::Null,
            (true, false) => Value::Absent,
        })
    }

    pub(in crate::mapping) fn described(&self) -> String {
        let paths = self.entries.iter().flat_map(|entry| &entry.paths);
        paths.map(|path| &*path.text).collect::<Vec<_>>().join(", ")
    }
}

fn write(scalar: &Scalar<'_>, out: &mut String) -> Result<(), Refusal> {
    match scalar {
        Scalar::Missing | Scalar::Null => out.push_str("null"),
        Scalar::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        // `20.0` and `20` are the same content.
        Scalar::Number(text) => out.push_str(crate::mapping::value::whole(text).unwrap_or(text)),
        Scalar::Text(text) => {
            if text.as_bytes().contains(&0) {
                return Err(Refusal::new(
                    Reason::BadCharacter,
                    "the text holds a NUL character, which cannot be stored",
                ));
            }
            crate::mapping::source::write_string(text, out);
        }
        Scalar::Nested(_) => return Err(Refusal::new(Reason::WrongType, "a text, a number or a flag was expected")),
    }
    Ok(())
}

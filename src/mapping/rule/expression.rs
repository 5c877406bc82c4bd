//! CEL, for the rare field that needs logic. The record stands as `r`.
//!
//! Whole numbers arrive as integers, numbers with a fraction as text: money must not become a double by the way.

use std::fmt;
use std::sync::Arc;

use cel::objects::Key;
use cel::{Context, Program, Value as Cel};

use crate::canonical::FieldType;
use crate::mapping::source::Row;
use crate::mapping::value::{Reason, Refusal, Scalar, whole};

pub(in crate::mapping) struct Expression {
    text: String,
    program: Program,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

impl Expression {
    pub(in crate::mapping) fn compile(text: &str) -> Result<Self, String> {
        let program = Program::compile(text).map_err(|error| error.to_string())?;
        let unknown = program.references().variables().into_iter().find(|name| *name != "r").map(str::to_owned);
        match unknown {
            Some(name) => Err(format!("`{name}` is unknown, the record is called `r`")),
            None => Ok(Expression { text: text.to_owned(), program }),
        }
    }

    pub(in crate::mapping) fn text(&self) -> &str {
        &self.text
    }

    pub(in crate::mapping) fn evaluate<'a>(&self, row: Row<'_, '_>, kind: FieldType) -> Result<Scalar<'a>, Refusal> {
        let refused = |detail: String| Refusal::new(Reason::Expression, detail);
        let record: serde_json::Value = serde_json::from_str(row.whole.unwrap_or("{}"))
            .map_err(|error| refused(format!("the record cannot be given to the expression: {error}")))?;
        let mut context = Context::default();
        context.add_variable_from_value("r", cel_value(&record));
        let result = self.program.execute(&context).map_err(|error| refused(error.to_string()))?;
        Ok(match result {
            Cel::Null => Scalar::Null,
            Cel::Bool(flag) => Scalar::Bool(flag),
            Cel::Int(number) => Scalar::Number(number.to_string().into()),
            Cel::UInt(number) => Scalar::Number(number.to_string().into()),
            Cel::String(text) => Scalar::Text(text.as_ref().clone().into()),
            Cel::Float(number) if !matches!(kind, FieldType::Decimal { .. }) => {
                Scalar::Number(number.to_string().into())
            }
            Cel::Float(_) => return Err(refused("the result is a double; amounts must stay texts or integers".into())),
            _ => return Err(refused("the result is neither text nor number nor flag nor null".into())),
        })
    }
}

fn cel_value(value: &serde_json::Value) -> Cel {
    match value {
        serde_json::Value::Null => Cel::Null,
        serde_json::Value::Bool(flag) => Cel::Bool(*flag),
        serde_json::Value::Number(number) => {
            let text = number.to_string();
            match whole(&text).unwrap_or(&text).parse::<i64>() {
                Ok(number) => Cel::Int(number),
                Err(_) => Cel::String(Arc::new(text)),
            }
        }
        serde_json::Value::String(text) => Cel::String(Arc::new(text.clone())),
        serde_json::Value::Array(items) => Cel::List(Arc::new(items.iter().map(cel_value).collect())),
        serde_json::Value::Object(fields) => {
            let map =
                fields.iter().map(|(key, value)| (Key::String(Arc::new(key.clone())), cel_value(value))).collect();
            Cel::Map(cel::objects::Map { map: Arc::new(map) })
        }
    }
}

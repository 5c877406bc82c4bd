//! CEL, for the rare field that needs logic. The record stands as `r`.
//!
//! Whole numbers arrive as integers, numbers with a fraction as text: money must not become a double by the way.

use std::fmt;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, MapExpr, StructExpr};
use cel::objects::Key;
use cel::{Context, IdedExpr, Program, Value as Cel};

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
        let unknown = free_name(program.expression(), &mut vec!["r"]).map(str::to_owned);
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

/// CEL's own names of types.
const TYPES: [&str; 10] = ["int", "uint", "double", "string", "bool", "bytes", "list", "map", "null_type", "type"];

/// A name that neither the context nor a macro around it (`map`, `filter`, `all`, `exists`) binds.
fn free_name<'e>(node: &'e IdedExpr, bound: &mut Vec<&'e str>) -> Option<&'e str> {
    match &node.expr {
        Expr::Unspecified | Expr::Literal(_) => None,
        Expr::Ident(name) => {
            let known = bound.contains(&name.as_str()) || TYPES.contains(&name.as_str());
            (!known).then_some(name.as_str())
        }
        Expr::Select(select) => free_name(&select.operand, bound),
        Expr::Call(call) => {
            let parts = call.target.as_deref().into_iter().chain(&call.args);
            parts.into_iter().find_map(|part| free_name(part, bound))
        }
        Expr::List(list) => list.elements.iter().find_map(|item| free_name(item, bound)),
        Expr::Map(MapExpr { entries }) | Expr::Struct(StructExpr { entries, .. }) => {
            entries.iter().find_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => free_name(&entry.key, bound).or_else(|| free_name(&entry.value, bound)),
                EntryExpr::StructField(field) => free_name(&field.value, bound),
            })
        }
        Expr::Comprehension(inner) => {
            let outside = free_name(&inner.iter_range, bound).or_else(|| free_name(&inner.accu_init, bound));
            if outside.is_some() {
                return outside;
            }
            let outer = bound.len();
            bound.extend([inner.iter_var.as_str(), inner.accu_var.as_str()]);
            bound.extend(inner.iter_var2.as_deref());
            let inside = [&inner.loop_cond, &inner.loop_step, &inner.result];
            let found = inside.into_iter().find_map(|part| free_name(part, bound));
            bound.truncate(outer);
            found
        }
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

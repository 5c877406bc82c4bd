//! A change as JSON, for people and for commands: `{code, externalId?, version?, <fields>}` in camelCase.

use serde_json::{Map, Value as Json};

use super::change::{Change, Value};
use super::schema::{FieldSpec, FieldType};

impl Change<'_> {
    /// Absent fields are left out; decimals are numbers with every digit.
    pub fn to_json(&self) -> Json {
        let mut object = Map::new();
        object.insert("code".to_owned(), Json::from(self.code.as_ref()));
        if let Some(id) = &self.external_id {
            object.insert("externalId".to_owned(), Json::from(id.as_ref()));
        }
        if let Some(version) = &self.version {
            object.insert(
                "version".to_owned(),
                serde_json::json!({ "kind": version.kind.as_ref(), "value": version.value }),
            );
        }
        insert(&mut object, self.entity.fields(), &self.values);
        Json::Object(object)
    }
}

impl Value<'_> {
    /// The value of a field of this type; absent and null are both null.
    pub fn to_json(&self, kind: FieldType) -> Json {
        json(kind, self)
    }
}

fn insert(object: &mut Map<String, Json>, fields: &'static [FieldSpec], values: &[Value<'_>]) {
    for (spec, value) in fields.iter().zip(values) {
        if value.is_present() {
            object.insert(spec.name.to_owned(), json(spec.kind, value));
        }
    }
}

fn json(kind: FieldType, value: &Value<'_>) -> Json {
    match value {
        Value::Absent | Value::Null => Json::Null,
        Value::Text(text) => Json::from(text.as_ref()),
        Value::Int(number) => Json::from(*number),
        // The text of a decimal is always a JSON number.
        Value::Decimal(number) => serde_json::from_str(&number.to_string()).unwrap_or(Json::Null),
        Value::Bool(flag) => Json::from(*flag),
        Value::Date(date) => Json::from(date.to_string()),
        Value::Json(text) => serde_json::from_str(text).unwrap_or(Json::Null),
        Value::List(rows) => {
            let fields = match kind {
                FieldType::List(fields) => fields,
                _ => &[],
            };
            rows.iter()
                .map(|row| {
                    let mut object = Map::new();
                    insert(&mut object, fields, row);
                    Json::Object(object)
                })
                .collect()
        }
    }
}

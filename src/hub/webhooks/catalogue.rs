//! The catalogue of events: what each type tells, as a JSON schema of the message that a receiver gets.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::outbox::{EventType, STATE_EVENTS};

/// One type of event.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookEventType)]
pub struct Described {
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// When it happens.
    pub description: &'static str,
    /// The kind of record that it is about.
    pub object: &'static str,
    /// Only the newest of a record is told; of others each.
    pub newest_only: bool,
    /// JSON Schema (2020-12) of the whole message.
    #[schema(value_type = Object)]
    pub schema: Value,
}

/// When it happens, and the schema of `data`.
const fn told(kind: EventType) -> (&'static str, &'static str) {
    const ORDER: &str = include_str!("schemas/order.json");
    const RETURN: &str = include_str!("schemas/return.json");
    match kind {
        EventType::ProductUpdated => ("A product is new, changed or deleted", include_str!("schemas/product.json")),
        EventType::PriceChanged => ("A price is new or changed", include_str!("schemas/price.json")),
        EventType::StockChanged => {
            ("The quantity of a product in a warehouse is another one", include_str!("schemas/stock.json"))
        }
        EventType::CustomerRegistered => {
            ("A company that registered was approved", include_str!("schemas/customer_registered.json"))
        }
        EventType::InvoiceCreated => ("An invoice came from the ERP", include_str!("schemas/invoice.json")),
        EventType::ReturnRequested => ("A dealer asks to send goods back", RETURN),
        EventType::ReturnApproved => ("The goods of a return may come", RETURN),
        EventType::ReturnRejected => ("A return was turned down", RETURN),
        EventType::OrderCreated => ("An order was placed", ORDER),
        EventType::OrderApproved => ("An order that waited for a person was approved", ORDER),
        EventType::OrderConfirmed => ("An order is to be delivered: nothing stands in its way any more", ORDER),
        EventType::OrderUpdated => ("Something of an order changed", ORDER),
        EventType::OrderShipped => ("All of an order that is to be delivered has left", ORDER),
        EventType::OrderCancelled => ("An order was cancelled", ORDER),
        EventType::SyncCompleted => (
            "A first or full run is complete; its single changes were told only to endpoints with `bulk`",
            include_str!("schemas/sync_completed.json"),
        ),
        EventType::DeadLetterCreated => (
            "Something could not go in, or could not be told to somebody else",
            include_str!("schemas/dead_letter.json"),
        ),
        EventType::WebhookEndpointDisabled => {
            ("A webhook endpoint was switched off by itself", include_str!("schemas/webhook_endpoint_disabled.json"))
        }
    }
}

/// Every type, by name.
pub fn all() -> Vec<Described> {
    let mut all: Vec<Described> = EventType::ALL.iter().map(|kind| of(*kind)).collect();
    all.sort_by_key(|one| one.kind);
    all
}

pub fn of(kind: EventType) -> Described {
    let (description, data) = told(kind);
    // The files are part of the program, and a test reads them all.
    let data: Value = serde_json::from_str(data).unwrap_or_default();
    Described {
        kind: kind.as_str(),
        description,
        object: kind.aggregate(),
        newest_only: STATE_EVENTS.contains(&kind),
        schema: message(kind, &data),
    }
}

fn message(kind: EventType, data: &Value) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind.as_str(),
        "type": "object",
        "properties": {
            "type": { "const": kind.as_str() },
            "timestamp": { "type": "string", "format": "date-time", "description": "When it happened" },
            "id": { "type": "string", "format": "uuid", "description": "The same as `webhook-id`" },
            "object": {
                "type": "object",
                "properties": {
                    "kind": { "const": kind.aggregate() },
                    "id": { "type": "integer" },
                    "revision": { "type": "integer", "description": "Rises with every change of the record" }
                },
                "required": ["kind", "id", "revision"]
            },
            "data": data
        },
        "required": ["type", "timestamp", "id", "object", "data"]
    })
}

/// The catalogue for people: `docs/events.md`.
pub fn page() -> String {
    let mut page = String::from(
        "# Events\n\nWhat webhook endpoints can be told, and what stands in `data`. Around it is the same for all \
         ([webhooks.md](webhooks.md)).\nWritten by `kopru webhook-endpoints events --markdown`; the schemas are served at \
         `/api/v1/event-types`.\nFields may be added; what stands here stays.\n",
    );
    for one in all() {
        let told = if one.newest_only { "only the newest of a record is told" } else { "each is told" };
        page.push_str(&format!(
            "\n## `{}`\n\n{}. About: `{}`; {told}.\n\n| field | type | |\n| --- | --- | --- |\n",
            one.kind, one.description, one.object
        ));
        let data = &one.schema["properties"]["data"];
        let required = data["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (name, field) in data["properties"].as_object().into_iter().flatten() {
            let optional = if required.iter().any(|one| one == name.as_str()) { "" } else { ", may be missing" };
            let note = field["description"].as_str().unwrap_or_default();
            page.push_str(&format!("| `{name}` | {}{optional} | {note} |\n", type_of(field)));
        }
    }
    page
}

fn type_of(field: &Value) -> String {
    let words = |list: &Value| {
        let words = list.as_array().into_iter().flatten().filter_map(Value::as_str).map(|word| format!("`{word}`"));
        words.collect::<Vec<_>>().join(", ")
    };
    match (&field["enum"], &field["type"]) {
        (Value::Array(_), _) => words(&field["enum"]),
        (_, Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        (_, Value::String(kind)) if kind == "array" => format!("array of {}", type_of(&field["items"])),
        (_, kind) => kind.as_str().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_read_and_names_what_it_requires() {
        for one in all() {
            let data = &one.schema["properties"]["data"];
            let fields = data["properties"].as_object().unwrap_or_else(|| panic!("{}: {data}", one.kind));
            for name in data["required"].as_array().expect("required") {
                assert!(fields.contains_key(name.as_str().expect("a name")), "{}: {name}", one.kind);
            }
        }
    }

    #[test]
    fn the_page_of_events_is_as_the_program_writes_it() {
        let written = include_str!("../../../docs/events.md");
        assert_eq!(written, page(), "run `kopru webhook-endpoints events --markdown > docs/events.md`");
    }

    #[test]
    fn every_type_is_in_the_list() {
        let source = include_str!("../../outbox.rs");
        let names = source.lines().filter(|line| line.contains("=> \"") && line.contains('.')).count();
        assert_eq!(EventType::ALL.len(), names);
    }
}

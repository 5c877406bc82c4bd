//! What an endpoint is sent: `type`, `timestamp` and `data` as Standard Webhooks has it, with the record that it is about
//! and its revision, by which a receiver sees a gap or something that it has overtaken.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::super::deliveries::Document;

#[derive(Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    /// When it happened, the same for every attempt.
    timestamp: String,
    id: Uuid,
    object: Object<'a>,
    data: &'a Value,
}

#[derive(Serialize)]
struct Object<'a> {
    kind: &'a str,
    id: Option<i64>,
    revision: Option<i64>,
}

/// `webhook-id`: the event's, so that it stays the same however often it is told.
pub fn id_of(document: &Document) -> Uuid {
    document.event_id.unwrap_or(document.id)
}

/// When it happened, as its id knows.
fn happened_at(document: &Document) -> DateTime<Utc> {
    let of_id = document.event_id.and_then(|id| id.get_timestamp()).and_then(|at| {
        let (seconds, nanos) = at.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    });
    of_id.unwrap_or(document.created_at)
}

pub fn body_of(document: &Document) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Message {
        kind: &document.kind,
        timestamp: happened_at(document).to_rfc3339_opts(SecondsFormat::Millis, true),
        id: id_of(document),
        object: Object { kind: &document.aggregate, id: document.aggregate_id, revision: document.revision },
        data: &document.payload,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_the_same_for_every_attempt() {
        let event: Uuid = "01a1fdfa-4600-7000-8000-000000000001".parse().expect("an id");
        let document = |delivery: u128, minute: i64| Document {
            id: Uuid::from_u128(delivery),
            kind: "order.created".to_owned(),
            event_id: Some(event),
            aggregate: "order".to_owned(),
            aggregate_id: Some(12),
            revision: Some(3),
            payload: json!({ "id": 12, "total": 5 }),
            created_at: DateTime::from_timestamp(1_800_000_000 + minute * 60, 0).expect("a time"),
            expires_at: None,
            unknown_since: None,
            attempt: 1,
        };
        let body = body_of(&document(1, 0)).expect("a body");
        assert_eq!(body, body_of(&document(2, 9)).expect("a body"));
        assert_eq!(
            serde_json::from_slice::<Value>(&body).expect("JSON"),
            json!({
                "type": "order.created", "timestamp": "2026-11-21T12:00:00.000Z", "id": event,
                "object": { "kind": "order", "id": 12, "revision": 3 }, "data": { "id": 12, "total": 5 }
            })
        );
    }
}

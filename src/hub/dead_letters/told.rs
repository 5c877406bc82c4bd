//! The event of a new letter. It is written when somebody wants it and not otherwise: a flood of letters that nobody is to be told of
//! makes no flood of events. A letter of a `hub.*` delivery raises none, or a receiver that fails would be told of itself for ever.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::deliveries;
use crate::outbox::{self, EventType, Events, Provenance};

/// A letter that was not there before. What came and what was wrong with it stay in the letter.
#[derive(Debug, Clone)]
pub(in crate::hub) struct Created {
    pub id: Uuid,
    pub kind: String,
    pub connector: String,
    pub stream: Option<String>,
    pub entity: Option<String>,
    pub code: Option<String>,
    pub cause: String,
    pub reason: String,
    pub field: Option<String>,
    pub correlation_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    id: i64,
    revision: i64,
    letter_id: Uuid,
    connector: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    cause: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

/// Tells of new letters, in the transaction that makes them.
pub(in crate::hub) async fn tell(conn: &mut PgConnection, letters: &[Created]) -> Result<(), sqlx::Error> {
    let of_the_hub = |letter: &&Created| {
        letter.kind == deliveries::KIND && letter.stream.as_deref().is_some_and(|kind| kind.starts_with("hub."))
    };
    let mut groups: BTreeMap<(&str, &str), Vec<&Created>> = BTreeMap::new();
    for letter in letters.iter().filter(|letter| !of_the_hub(letter)) {
        groups.entry((&letter.connector, &letter.correlation_id)).or_default().push(letter);
    }
    for ((connector, correlation_id), letters) in groups {
        let numbers = sqlx::query!(
            r#"select nextval('hub.dead_letter_number') as "id!", clock_timestamp() as "now!"
               from generate_series(1, $1::bigint)
               where exists (select from hub.target t
                             where t.enabled and t.name <> $2 and t.events && array[$3, $4, '*'])"#,
            i64::try_from(letters.len()).unwrap_or(0),
            connector,
            EventType::DeadLetterCreated.as_str(),
            EventType::DeadLetterCreated.family(),
        )
        .fetch_all(&mut *conn)
        .await?;
        let Some(now) = numbers.first().map(|row| row.now) else { continue };
        let mut events = Events::new(EventType::DeadLetterCreated, letters.len());
        for (number, letter) in numbers.iter().zip(letters) {
            let payload = Payload {
                id: number.id,
                revision: 1,
                letter_id: letter.id,
                connector,
                stream: letter.stream.as_deref(),
                entity: letter.entity.as_deref().filter(|entity| !entity.is_empty()),
                code: letter.code.as_deref().filter(|code| !code.starts_with('#')),
                cause: &letter.cause,
                reason: &letter.reason,
                field: letter.field.as_deref(),
            };
            events.push(number.id, 1, &payload).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        }
        let by = Provenance { origin: connector, bulk: false, correlation_id, place: None, now };
        outbox::append(conn, &by, &events).await?;
    }
    Ok(())
}

//! What every change of a return leaves behind: its line of history, its audit row, and the event of who waits for it.

use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use super::state::ReturnState;
use crate::{
    audit,
    commerce::CommandError,
    outbox::{self, EventType, Events, Provenance},
};

/// A change, by the revision that it led to. One that leaves the state as it is tells what happened to it.
#[derive(Debug)]
pub(super) struct Move<'a> {
    pub(super) revision: i64,
    pub(super) from: Option<ReturnState>,
    pub(super) to: ReturnState,
    /// For the audit.
    pub(super) action: &'static str,
    pub(super) note: Option<&'a str>,
}

pub(super) async fn note_move(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    id: i64,
    made: &Move<'_>,
) -> Result<(), CommandError> {
    let Move { revision, from, to, action, note } = *made;
    sqlx::query!(
        "insert into commerce.return_history (return_id, revision, at, from_state, state, actor, correlation_id, note)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        id,
        revision,
        by.now,
        from.map(ReturnState::as_str),
        to.as_str(),
        by.origin,
        by.correlation_id,
        note,
    )
    .execute(&mut *conn)
    .await?;
    let detail = json!({ "from": from.map(ReturnState::as_str), "to": to.as_str(), "revision": revision });
    let entry = audit::Entry { action, subject_kind: "return", subject: id.to_string(), detail };
    audit::record(conn, by.actor(), &[entry]).await?;
    Ok(())
}

/// What an event says of a return.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told<'a> {
    pub(super) id: i64,
    pub(super) number: &'a str,
    pub(super) customer_id: i64,
    pub(super) order_id: i64,
    pub(super) state: &'static str,
    pub(super) revision: i64,
}

pub(super) async fn tell(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    kind: EventType,
    told: &Told<'_>,
) -> Result<(), CommandError> {
    let mut events = Events::new(kind, 1);
    events.push(told.id, told.revision, told)?;
    outbox::append(conn, by, &events).await?;
    Ok(())
}

//! What the house says to a return.

use sqlx::PgConnection;

use super::{
    error::{NamedFault, ReturnError},
    moves::{Move, Told, note_move, tell},
    state::ReturnState,
};
use crate::{
    commerce::check,
    outbox::{EventType, Provenance},
};

#[derive(Debug, Clone)]
pub enum Decision {
    Approve {
        note: Option<String>,
    },
    /// The dealer reads why.
    Reject {
        reason: String,
    },
}

/// Approves or rejects.
pub async fn decide(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    id: i64,
    decision: &Decision,
) -> Result<(), ReturnError> {
    let (to, note, field) = match decision {
        Decision::Approve { note } => (ReturnState::Approved, note.as_deref().filter(|note| !note.is_empty()), "note"),
        Decision::Reject { reason } => (ReturnState::Rejected, Some(reason.trim()), "reason"),
    };
    if to == ReturnState::Rejected && note.is_none_or(str::is_empty) {
        let message = "is required: the dealer is told why";
        return Err(ReturnError::Invalid(vec![NamedFault::new("reason", "required", message)]));
    }
    check::text(field, note.unwrap_or_default(), 2000)
        .map_err(|fault| ReturnError::Invalid(vec![NamedFault::new(field, fault.rule, fault.detail)]))?;
    let (from, revision) = lock(conn, id, to).await?;
    let row = sqlx::query!(
        "update commerce.return_request
         set state = $2, revision = $3, decided_at = $4, decided_by = $5, decision_note = $6, updated_at = $4,
             updated_by = $5
         where id = $1
         returning number, customer_id, order_id",
        id,
        to.as_str(),
        revision,
        by.now,
        by.origin,
        note,
    )
    .fetch_one(&mut *conn)
    .await?;
    let (kind, action) = match to {
        ReturnState::Approved => (EventType::ReturnApproved, "return.approved"),
        _ => (EventType::ReturnRejected, "return.rejected"),
    };
    let (number, customer_id, order_id) = (row.number.as_str(), row.customer_id, row.order_id);
    let told = Told { id, number, customer_id, order_id, state: to.as_str(), revision };
    tell(conn, by, kind, &told).await?;
    note_move(conn, by, id, &Move { revision, from: Some(from), to, action, note }).await?;
    Ok(())
}

/// Locks a return that may become `to`. Gives its state and the revision that it is led to.
pub(super) async fn lock(conn: &mut PgConnection, id: i64, to: ReturnState) -> Result<(ReturnState, i64), ReturnError> {
    let row = sqlx::query!("select state, revision from commerce.return_request where id = $1 for no key update", id)
        .fetch_optional(conn)
        .await?
        .ok_or(ReturnError::NotFound("return"))?;
    let from = ReturnState::parse(&row.state).ok_or(ReturnError::NotFound("return"))?;
    if from.moves().contains(&to) { Ok((from, row.revision + 1)) } else { Err(ReturnError::Forbidden { from, to }) }
}

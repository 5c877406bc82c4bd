//! Letters put aside for good.

use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    super::deliveries,
    store::{LetterError, close},
};
use crate::{
    audit::{self, Actor, Entry},
    transaction,
};

/// Puts letters aside. Those that are being replayed right now are left alone. Returns how many it were.
pub async fn discard(db: &PgPool, by: Actor<'_>, ids: &[Uuid], reason: &str) -> Result<u64, LetterError> {
    if reason.trim().is_empty() {
        return Err(LetterError::NoReason);
    }
    let mut tx = transaction::begin(db).await?;
    let done = discard_within(&mut tx, by, ids, reason).await?;
    tx.commit().await?;
    Ok(done)
}

/// The same in the caller's transaction; a reason is there.
pub async fn discard_within(
    tx: &mut PgConnection,
    by: Actor<'_>,
    ids: &[Uuid],
    reason: &str,
) -> Result<u64, sqlx::Error> {
    let dead = sqlx::query!(
        "select id, kind, message_id, connector, key, reason from hub.dead_letter
         where id = any($1) and state = 'dead' order by id for update",
        ids
    )
    .fetch_all(&mut *tx)
    .await?;
    let entries: Vec<Entry> = dead
        .iter()
        .map(|letter| Entry {
            action: "dead_letter.discarded",
            subject_kind: "dead_letter",
            subject: letter.id.to_string(),
            detail: json!({
                "connector": letter.connector, "code": letter.key, "failure": letter.reason, "reason": reason,
            }),
        })
        .collect();
    audit::record(&mut *tx, by, &entries).await?;
    let deliveries: Vec<Uuid> =
        dead.iter().filter(|letter| letter.kind == deliveries::KIND).map(|letter| letter.message_id).collect();
    deliveries::manage::discarded(tx, &deliveries, reason).await?;
    let ids: Vec<Uuid> = dead.into_iter().map(|letter| letter.id).collect();
    close(tx, &ids, "dead", "discarded", by.name, Some(reason)).await
}

//! Answers to requests that carry an `Idempotency-Key`: kept in the transaction of the effect, given again to its twins.
//!
//! A twin in another process waits on an advisory lock that the first one's transaction holds. The lock's name is a hash:
//! two keys that share it wait for each other and nothing worse.

use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::PgConnection;

/// Whose request, where, and under which key of theirs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// `api-key:<prefix>`
    pub principal: String,
    pub method: String,
    pub route: String,
    pub key: String,
}

/// An answer as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub request_hash: Vec<u8>,
    pub status: u16,
    pub content_type: String,
    pub body: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The first one is still at it.
    #[error("another request with this key is still under way")]
    Busy,
    #[error(transparent)]
    Database(sqlx::Error),
}

impl Scope {
    fn lock_name(&self) -> i64 {
        let mut hash = Sha256::new();
        for part in [&self.principal, &self.method, &self.route, &self.key] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let digest = hash.finalize();
        let mut name = [0; 8];
        name.copy_from_slice(&digest[..8]);
        i64::from_be_bytes(name)
    }
}

/// Waits for whoever works under this scope, then holds it until the transaction ends.
pub async fn lock(tx: &mut PgConnection, scope: &Scope, patience: Duration) -> Result<(), LockError> {
    // Zero would mean for ever.
    let millis = patience.as_millis().max(1).to_string();
    let locked = sqlx::query!(
        "select set_config('lock_timeout', $1, true) as a, pg_advisory_xact_lock($2) as b,
                set_config('lock_timeout', '0', true) as c",
        millis,
        scope.lock_name(),
    )
    .fetch_one(tx)
    .await;
    match locked {
        Ok(_) => Ok(()),
        // lock_not_available
        Err(error) if error.as_database_error().and_then(|error| error.code()).as_deref() == Some("55P03") => {
            Err(LockError::Busy)
        }
        Err(error) => Err(LockError::Database(error)),
    }
}

/// What was answered under this scope in the last day.
pub async fn find(tx: &mut PgConnection, scope: &Scope) -> Result<Option<Kept>, sqlx::Error> {
    let row = sqlx::query!(
        "select request_hash, status, content_type, body from identity.idempotent_answer
         where principal = $1 and method = $2 and route = $3 and key = $4
           and created_at > clock_timestamp() - make_interval(hours => $5)",
        scope.principal,
        scope.method,
        scope.route,
        scope.key,
        super::trim::ANSWERS_HOURS,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Kept {
        request_hash: row.request_hash,
        status: u16::try_from(row.status).unwrap_or(500),
        content_type: row.content_type,
        body: row.body,
    }))
}

/// Keeps an answer; one that is older than a day makes room.
pub async fn keep(tx: &mut PgConnection, scope: &Scope, kept: &Kept) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into identity.idempotent_answer
           (principal, method, route, key, request_hash, status, content_type, body)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict on constraint idempotent_answer_pkey do update
           set request_hash = excluded.request_hash, status = excluded.status, content_type = excluded.content_type,
               body = excluded.body, created_at = excluded.created_at",
        scope.principal,
        scope.method,
        scope.route,
        scope.key,
        kept.request_hash,
        i16::try_from(kept.status).unwrap_or(i16::MAX),
        kept.content_type,
        kept.body,
    )
    .execute(tx)
    .await?;
    Ok(())
}

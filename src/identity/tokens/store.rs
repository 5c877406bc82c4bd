//! Signing keys in the store, sealed with the master key. Those that an earlier version left in the clear are sealed when
//! they are first read by a process that has a master key.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    access::ACCESS_LIFE,
    keys::{self, KeyProblem},
};
use crate::{
    audit::{self, Actor, Entry},
    seal::Sealer,
    transaction,
};

/// Kept beside the newest: those whose tokens may still be about.
const OLDER_KEPT: i64 = 1;

/// How long after a rotation somebody may still sign with the key before.
const TAKEN_OVER: TimeDelta = TimeDelta::minutes(1);

/// The newest first; made when there is none. An older one that does not open is left out: its tokens have ended by and by.
pub(super) async fn read(
    pool: &PgPool,
    sealer: Option<&Sealer>,
    now: DateTime<Utc>,
) -> Result<Vec<Vec<u8>>, KeyProblem> {
    loop {
        let found = sqlx::query!(
            "select id, kid, pkcs8, sealed from identity.signing_key order by id desc limit $1",
            OLDER_KEPT + 1
        )
        .fetch_all(pool)
        .await?;
        let mut keys = Vec::new();
        for row in found {
            let opened = match (row.pkcs8, row.sealed, sealer) {
                (Some(clear), _, None) => Ok(clear),
                (Some(clear), _, Some(sealer)) => {
                    seal(pool, sealer, row.id, &row.kid, &clear).await?;
                    Ok(clear)
                }
                (None, Some(sealed), Some(sealer)) => {
                    let other = |_| KeyProblem::OtherMasterKey { kid: row.kid };
                    sealer.open(&context(row.id), &sealed).map_err(other)
                }
                (None, ..) => Err(KeyProblem::NoMasterKey { kid: row.kid }),
            };
            match opened {
                Ok(key) => keys.push(key),
                Err(error) if keys.is_empty() => return Err(error),
                Err(error) => tracing::warn!(%error, "a replaced signing key is not used any more"),
            }
        }
        if !keys.is_empty() {
            return Ok(keys);
        }
        // The first of several daemons makes it, the others find it.
        let mut tx = transaction::begin(pool).await?;
        sqlx::query!("lock table identity.signing_key in exclusive mode").execute(&mut *tx).await?;
        let there = sqlx::query_scalar!(r#"select exists (select from identity.signing_key) as "there!""#);
        if !there.fetch_one(&mut *tx).await? {
            rotate(&mut tx, sealer, now).await?;
        }
        tx.commit().await?;
    }
}

/// Of several daemons that begin together one does it.
async fn seal(pool: &PgPool, sealer: &Sealer, id: i64, kid: &str, clear: &[u8]) -> Result<(), KeyProblem> {
    let sealed = sealer.seal(&context(id), clear)?;
    let mut tx = transaction::begin(pool).await?;
    let done = sqlx::query!(
        "update identity.signing_key set sealed = $2, pkcs8 = null where id = $1 and pkcs8 is not null",
        id,
        sealed
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() > 0 {
        let entry = Entry {
            action: "signing_key.sealed",
            subject_kind: "signing_key",
            subject: kid.to_owned(),
            detail: json!({}),
        };
        let correlation_id = Uuid::now_v7().to_string();
        let by = Actor::new("hub", &correlation_id);
        audit::record(&mut tx, by, &[entry]).await?;
        tx.commit().await?;
        tracing::info!(kid, "a signing key that lay in the clear is sealed with the master key");
    }
    Ok(())
}

/// Makes a new key in the store, which signs from now on. The one before verifies what it has signed; older ones go.
pub async fn rotate(tx: &mut PgConnection, sealer: Option<&Sealer>, now: DateTime<Utc>) -> Result<String, KeyProblem> {
    let pkcs8 = keys::make()?;
    let kid = keys::kid_of_key(&pkcs8)?;
    let id = sqlx::query_scalar!(r#"select nextval(pg_get_serial_sequence('identity.signing_key', 'id')) as "id!""#)
        .fetch_one(&mut *tx)
        .await?;
    let sealed = sealer.map(|sealer| sealer.seal(&context(id), &pkcs8)).transpose()?;
    let clear = sealed.is_none().then_some(pkcs8);
    sqlx::query!(
        "insert into identity.signing_key (id, kid, created_at, pkcs8, sealed)
         overriding system value values ($1, $2, $3, $4, $5)",
        id,
        kid,
        now,
        clear,
        sealed,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from identity.signing_key where id not in
           (select id from identity.signing_key order by id desc limit $1)",
        OLDER_KEPT + 1
    )
    .execute(&mut *tx)
    .await?;
    Ok(kid)
}

/// Until when tokens of the key before the newest may be good; a rotation before that would end them. Nobody else rotates
/// until the transaction ends.
pub(super) async fn overlaps_until(
    tx: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query!("lock table identity.signing_key in exclusive mode").execute(&mut *tx).await?;
    let times = sqlx::query_scalar!("select created_at from identity.signing_key order by id desc limit 2");
    let times = times.fetch_all(tx).await?;
    let until = times.first().filter(|_| times.len() > 1).map(|newest| *newest + ACCESS_LIFE + TAKEN_OVER);
    Ok(until.filter(|until| *until > now))
}

/// A sealed key opens in its own row only.
fn context(id: i64) -> String {
    format!("signing-key:{id}")
}

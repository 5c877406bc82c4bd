//! Secrets of endpoints: 32 random bytes each, sealed. The newest signs, and those before it until their time is over.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use kopru_sdk::settings::Secret;
use rand::RngExt as _;
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::{EndpointError, WebhookSettings, change, signature::PREFIX};
use crate::{
    audit::Actor,
    seal::{SealError, Sealer},
};

/// For how long an old secret may sign beside a new one.
pub const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 24 * 3600);

fn context(id: Uuid) -> String {
    format!("webhook-secret:{id}")
}

fn fresh() -> Secret {
    Secret::new(format!("{PREFIX}{}", STANDARD.encode(rand::rng().random::<[u8; 32]>())))
}

fn sealer(settings: &WebhookSettings) -> Result<&Sealer, EndpointError> {
    settings.sealer.as_ref().ok_or(EndpointError::NoMasterKey)
}

/// Gives an endpoint that has none its secret.
pub(super) async fn make(
    tx: &mut PgConnection,
    settings: &WebhookSettings,
    endpoint: i64,
    now: DateTime<Utc>,
) -> Result<(), EndpointError> {
    let id = Uuid::now_v7();
    let sealed = sealer(settings)?.seal(&context(id), fresh().expose().as_bytes())?;
    sqlx::query!(
        "insert into hub.webhook_secret (id, endpoint_id, sealed, created_at) values ($1, $2, $3, $4)",
        id,
        endpoint,
        sealed,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A new secret signs from now on; those before it beside it for `overlap` at most, and not at all when that is nothing.
pub async fn rotate(
    tx: &mut PgConnection,
    settings: &WebhookSettings,
    by: Actor<'_>,
    now: DateTime<Utc>,
    endpoint: i64,
    overlap: Duration,
) -> Result<(), EndpointError> {
    if overlap > LONGEST_OVERLAP {
        return Err(EndpointError::Overlap);
    }
    sealer(settings)?;
    change::touch(tx, by, endpoint).await?;
    let until = now + TimeDelta::from_std(overlap).unwrap_or_default();
    sqlx::query!(
        "update hub.webhook_secret set expires_at = $2
         where endpoint_id = $1 and (expires_at is null or expires_at > $2)",
        endpoint,
        until
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("delete from hub.webhook_secret where endpoint_id = $1 and expires_at <= $2", endpoint, now)
        .execute(&mut *tx)
        .await?;
    make(tx, settings, endpoint, now).await?;
    let detail = json!({ "overlapSeconds": overlap.as_secs() });
    change::note(tx, by, "webhook_endpoint.rotated", endpoint, detail).await?;
    Ok(())
}

/// A secret as its owner is shown it.
#[derive(Debug, Clone)]
pub struct Shown {
    pub secret: Secret,
    pub created_at: DateTime<Utc>,
    /// Null: signs until it is rotated.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The valid secrets of an endpoint, newest first. Who asked is audited.
pub async fn show(
    tx: &mut PgConnection,
    settings: &WebhookSettings,
    by: Actor<'_>,
    now: DateTime<Utc>,
    endpoint: i64,
) -> Result<Vec<Shown>, EndpointError> {
    let sealer = sealer(settings)?;
    change::lock(tx, endpoint).await?;
    let mut shown = Vec::new();
    for stored in stored(&mut *tx, &[endpoint]).await?.into_iter().filter(|stored| stored.is_valid(now)) {
        let secret = stored.open(sealer)?;
        shown.push(Shown { secret, created_at: stored.created_at, expires_at: stored.expires_at });
    }
    change::note(tx, by, "webhook_endpoint.secrets_shown", endpoint, json!({})).await?;
    Ok(shown)
}

/// A secret as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub id: Uuid,
    pub endpoint_id: i64,
    sealed: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
}

impl Stored {
    pub fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|until| until > now)
    }

    pub fn open(&self, sealer: &Sealer) -> Result<Secret, SealError> {
        let bytes = sealer.open(&context(self.id), &self.sealed)?;
        String::from_utf8(bytes).map(Secret::new).map_err(|_| SealError::Open)
    }
}

/// The secrets of these endpoints, the newest of each first.
pub(super) async fn stored<'e>(db: impl PgExecutor<'e>, endpoints: &[i64]) -> Result<Vec<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        "select id, endpoint_id, sealed, created_at, expires_at from hub.webhook_secret
         where endpoint_id = any($1) order by endpoint_id, expires_at desc nulls first, id desc",
        endpoints,
    )
    .fetch_all(db)
    .await
}

//! A test event, sent at once: whoever set an endpoint up waits for the answer. It is no delivery, and neither a closed
//! breaker nor an endpoint that is switched off holds it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kopru_sdk::Ctx;
use serde::Serialize;
use serde_json::json;
use sqlx::PgPool;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{EndpointError, WebhookSettings, change, keep, secrets, target::Webhook};
use crate::{audit::Actor, hub::deliveries::Document, transaction};

/// The type of a test event. It is sent by this alone; nobody subscribes to it.
pub const TYPE: &str = "webhook.test";

/// What came of a test event.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookTrial)]
pub struct Trial {
    pub ok: bool,
    /// The `webhook-id` that it bore.
    pub id: Uuid,
    /// Null: there was no answer.
    pub status: Option<u16>,
    pub duration_ms: u64,
    /// The beginning of the answer.
    pub answer: Option<String>,
    /// Why it is not well.
    pub detail: Option<String>,
}

/// Sends a test event now. Who asked is audited.
pub async fn send(
    db: &PgPool,
    settings: &WebhookSettings,
    by: Actor<'_>,
    now: DateTime<Utc>,
    endpoint: i64,
) -> Result<Trial, EndpointError> {
    let row =
        sqlx::query!("select url, revision from hub.webhook_endpoint where id = $1 and removed_at is null", endpoint)
            .fetch_optional(db)
            .await?
            .ok_or(EndpointError::Unknown(endpoint))?;
    let stored = secrets::stored(db, &[endpoint]).await?;
    let id = Uuid::now_v7();
    let mut trial = Trial { ok: false, id, status: None, duration_ms: 0, answer: None, detail: None };
    let signers = keep::signers(settings, stored.iter());
    let unsigned = signers.as_ref().err().map(|failure| failure.detail.clone());
    match (Webhook::new(settings, &row.url, signers, None), unsigned) {
        (Ok(webhook), None) => {
            let document = Document {
                id,
                kind: TYPE.to_owned(),
                event_id: None,
                aggregate: "webhook_endpoint".to_owned(),
                aggregate_id: Some(endpoint),
                revision: Some(row.revision),
                payload: json!({ "id": endpoint, "message": "a test event of Köprü" }),
                created_at: now,
                expires_at: None,
                unknown_since: None,
                attempt: 1,
            };
            let cx = Ctx { now, correlation_id: by.correlation_id.to_owned() };
            let began = Instant::now();
            let called = timeout(settings.timeout + Duration::from_secs(1), webhook.call(&cx, &document)).await;
            trial.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            match called {
                Ok((tried, status)) => {
                    trial.ok = tried.outcome.is_ok();
                    trial.status = status;
                    trial.answer = tried.answered;
                    trial.detail = tried.outcome.err().map(|fault| fault.to_string());
                }
                Err(_) => trial.detail = Some("no answer within the time-out".to_owned()),
            }
        }
        (Ok(_), Some(why)) | (Err(why), _) => trial.detail = Some(why),
    }
    let mut tx = transaction::begin(db).await?;
    change::note(&mut tx, by, "webhook_endpoint.tested", endpoint, json!({ "ok": trial.ok, "status": trial.status }))
        .await?;
    tx.commit().await?;
    Ok(trial)
}

//! The endpoints of the store as targets of this process: looked at when somebody rings, and every few seconds.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    super::{daemons, deliveries::manage, engine::Engine, pages::Failure},
    KIND, WebhookSettings,
    change::{self, Off},
    secrets::{self, Stored},
    signature::Key,
    target::{Signer, Webhook, unsigned},
};
use crate::{audit::Actor, outbox::Provenance, transaction};

/// How often it looks by itself, whether it was woken or not.
const POLL: Duration = Duration::from_secs(5);

/// What an endpoint was made of: another revision, or another share of the rate, and it is made anew.
type Made = (i64, u32);

/// Runs until the engine stops.
pub async fn run(engine: Engine) {
    let mut known = BTreeMap::new();
    loop {
        // Listening before looking: what is rung in between is not missed.
        let rung = engine.webhooks_changed.notified();
        tokio::pin!(rung);
        rung.as_mut().enable();
        if let Err(error) = refresh(&engine, &mut known).await {
            tracing::warn!(%error, "the webhook endpoints could not be read; those that are known stay");
        }
        tokio::select! {
            () = rung => {}
            () = tokio::time::sleep(POLL) => {}
            () = engine.stop.cancelled() => return,
        }
    }
}

/// One look, for a process that works and ends.
pub async fn once(engine: &Engine) -> Result<(), sqlx::Error> {
    refresh(engine, &mut BTreeMap::new()).await
}

async fn refresh(engine: &Engine, known: &mut BTreeMap<String, Made>) -> Result<(), sqlx::Error> {
    let settings = &engine.settings.webhooks;
    let rows = sqlx::query!(
        r#"select id, target as "target!", url, rate_per_second, revision from hub.webhook_endpoint
           where removed_at is null order by id"#
    )
    .fetch_all(&engine.pool)
    .await?;
    let daemons = daemons::alive(&engine.pool, engine.settings.lease).await?;
    let daemons = u32::try_from(daemons).unwrap_or(1).max(1);
    let fresh = rows.iter().filter(|row| known.get(&row.target) != Some(&(row.revision, daemons)));
    let ids: Vec<i64> = fresh.map(|row| row.id).collect();
    if !ids.is_empty() {
        let stored = secrets::stored(&engine.pool, &ids).await?;
        for row in rows.iter().filter(|row| ids.contains(&row.id)) {
            let of_it = stored.iter().filter(|secret| secret.endpoint_id == row.id);
            let own = row.rate_per_second.and_then(|rate| NonZeroU32::new(u32::try_from(rate).ok()?));
            let rate = own.or(settings.rate_per_second).map(|rate| share(rate, daemons));
            match Webhook::new(settings, &row.url, signers(settings, of_it), rate) {
                Ok(webhook) => engine.targets.put(row.target.clone(), Arc::new(webhook)),
                Err(error) => tracing::error!(target_name = row.target, error, "a webhook endpoint cannot be called"),
            }
            known.insert(row.target.clone(), (row.revision, daemons));
        }
        engine.deliveries.notify_waiters();
    }
    known.retain(|name, _| rows.iter().any(|row| row.target == *name));
    for (name, target) in engine.targets.now().iter() {
        if target.kind() == KIND && !known.contains_key(name) {
            engine.targets.take_away(name);
        }
    }
    call_off_leftovers(engine).await
}

/// What was under way while its endpoint was removed, and did not arrive.
async fn call_off_leftovers(engine: &Engine) -> Result<(), sqlx::Error> {
    let left = sqlx::query_scalar!(
        r#"select e.target as "target!" from hub.webhook_endpoint e
           where e.removed_at is not null
             and exists (select from hub.delivery d where d.target = e.target and d.state <> 'working')"#
    )
    .fetch_all(&engine.pool)
    .await?;
    for target in left {
        let correlation_id = Uuid::now_v7().to_string();
        let by = Actor::new("hub", &correlation_id);
        let mut tx = transaction::begin(&engine.pool).await?;
        manage::call_off_all(&mut tx, by, &target, "the webhook endpoint was removed").await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Switches an endpoint off that asks for it or has failed for too long, and says so.
pub(in crate::hub) async fn switch_off(
    engine: &Engine,
    target: &str,
    why: Off,
    reason: &str,
) -> Result<(), sqlx::Error> {
    let correlation_id = Uuid::now_v7().to_string();
    let by = Provenance {
        origin: "hub",
        bulk: false,
        correlation_id: &correlation_id,
        place: None,
        now: engine.clock.now(),
    };
    let mut tx = transaction::begin(&engine.pool).await?;
    let switched = change::give_up(&mut tx, &by, target, why, reason).await?;
    tx.commit().await?;
    if switched {
        tracing::error!(target_name = target, reason, "webhook endpoint switched off; what is for it is held");
    }
    Ok(())
}

/// Of a rate that several processes have together.
fn share(rate: NonZeroU32, daemons: u32) -> NonZeroU32 {
    NonZeroU32::new(rate.get() / daemons).unwrap_or(NonZeroU32::MIN)
}

/// What signs for an endpoint, the newest first.
pub(super) fn signers<'s>(
    settings: &WebhookSettings,
    stored: impl Iterator<Item = &'s Stored>,
) -> Result<Vec<Signer>, Failure> {
    let Some(sealer) = &settings.sealer else {
        return Err(unsigned(
            "no master key is configured; set [auth] master_key_file to the one that sealed the secret",
        ));
    };
    let mut signers = Vec::new();
    for secret in stored {
        let text = secret.open(sealer).map_err(|error| unsigned(error.to_string()))?;
        let key = Key::parse(text.expose()).ok_or_else(|| unsigned("a stored secret is none"))?;
        signers.push(Signer { key, until: secret.expires_at });
    }
    if signers.is_empty() { Err(unsigned("the endpoint has no secret; rotate it")) } else { Ok(signers) }
}

//! A webhook endpoint of the demo: the sandbox receives what is told, and the demo verifies it as a receiver does.

use kopru_sdk::outbound::{Call, Method, Outbound, Policy, Url};
use serde::Deserialize;
use uuid::Uuid;

use super::Check;
use crate::{
    audit::Actor,
    hub::{
        deliveries::{router, worker},
        engine::Engine,
        webhooks::{
            EndpointError,
            address::{Address, Subscription},
            change::{self, NewEndpoint},
            endpoint, keep, secrets,
            signature::Key,
            trial,
        },
    },
    page::PageRequest,
    transaction,
};

/// By what the demo knows its endpoint again.
const DESCRIPTION: &str = "the demo's receiver";

/// The name of the check.
pub(super) const CHECK: &str = "webhook_received";

/// What the sandbox shows of a webhook.
#[derive(Debug, Deserialize)]
struct Hook {
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

#[derive(Debug, Deserialize)]
struct Hooks {
    items: Vec<Hook>,
}

/// The endpoint of the demo, made once, pointed to where the sandbox is now.
pub async fn register(engine: &Engine, receiver: &str) -> Result<i64, EndpointError> {
    let settings = &engine.settings.webhooks;
    let address = Address::judge(settings, receiver).await?;
    let now = engine.clock.now();
    let by = Actor::new("demo", "demo");
    let page = PageRequest::new(Some(100), None).map_err(|bad| EndpointError::Url(bad.to_string()))?;
    let known = match endpoint::list(&engine.pool, now, &page).await {
        Ok(found) => found.items.into_iter().find(|one| one.description == DESCRIPTION),
        Err(endpoint::ListError::Database(error)) => return Err(error.into()),
        Err(endpoint::ListError::Page(bad)) => return Err(EndpointError::Url(bad.to_string())),
    };
    let mut tx = transaction::begin(&engine.pool).await?;
    let id = match known {
        Some(known) => {
            let wanted = change::EndpointChange { address: Some(address), ..change::EndpointChange::default() };
            change::change(&mut tx, by, known.id, &wanted).await?;
            known.id
        }
        None => {
            let new = NewEndpoint {
                address,
                description: DESCRIPTION.to_owned(),
                events: Subscription::parse(&["order.*", "invoice.*", "return.*", "sync.*", "hub.*"])?,
                bulk: false,
                rate_per_second: None,
                enabled: true,
            };
            change::add(&mut tx, settings, by, now, &new).await?
        }
    };
    tx.commit().await?;
    keep::once(engine).await?;
    Ok(id)
}

/// Tells what there is to tell, sends a test event, and verifies what the receiver has got.
pub(super) async fn check(engine: &Engine, endpoint: i64, receiver: &str) -> Result<Check, EndpointError> {
    while !matches!(router::turn(engine).await?, router::Routed::Elsewhere | router::Routed::Events(0)) {}
    while worker::turn(engine).await? > 0 {}
    let correlation_id = Uuid::now_v7().to_string();
    let by = Actor::new("demo", &correlation_id);
    let settings = &engine.settings.webhooks;
    let now = engine.clock.now();
    let trial = trial::send(&engine.pool, settings, by, now, endpoint).await?;
    let told = |ok, detail| Ok(Check { name: CHECK, ok: Some(ok), detail });
    if let Some(why) = trial.detail {
        return told(false, why);
    }
    let mut tx = transaction::begin(&engine.pool).await?;
    let keys = secrets::show(&mut tx, settings, by, now, endpoint).await?;
    tx.commit().await?;
    let keys: Vec<Key> = keys.iter().filter_map(|one| Key::parse(one.secret.expose())).collect();
    let received = match received(receiver).await {
        Ok(received) => received,
        Err(why) => return told(false, why),
    };
    let now = engine.clock.now();
    let verified = received
        .iter()
        .filter(|hook| {
            keys.iter().any(|key| key.verify(&hook.id, &hook.timestamp, &hook.signature, hook.body.as_bytes(), now))
        })
        .count();
    let has_trial = received.iter().any(|hook| hook.id == trial.id.to_string());
    told(
        has_trial && verified == received.len(),
        format!("{verified} of {} received webhooks are verified", received.len()),
    )
}

async fn received(receiver: &str) -> Result<Vec<Hook>, String> {
    let base = Url::parse(receiver).map_err(|error| error.to_string())?;
    let client = Outbound::new(&base, Policy::default())?;
    let answer = client.send(Call::read(Method::GET, "")).await.map_err(|fault| fault.to_string())?;
    let text = answer.json_text().map_err(|fault| fault.to_string())?;
    serde_json::from_slice::<Hooks>(&text).map(|hooks| hooks.items).map_err(|error| error.to_string())
}

//! The API key of a demo: made once for a data directory, found again in its `demo.json`.

use std::{fs, net::Ipv4Addr, path::Path};

use serde_json::Value;

use super::DESCRIPTION_FILE;
use crate::{
    app::App,
    audit::Actor,
    identity::api_keys::{self, ApiCaller, KeyError, KeyRing, NewKey, Refusal, SCOPES},
    transaction,
};

/// The instance for which it speaks: the simulated LOGO.
const INSTANCE: &str = "logo";

/// The key that `demo.json` names, if it is good still, else a new one.
pub async fn api_key(app: &App, dir: &Path) -> Result<String, KeyError> {
    if let Some(text) = written(dir) {
        let ring = KeyRing::new(app.database.pool.clone(), app.clock.clone());
        match ring.verify(&text, Ipv4Addr::LOCALHOST.into()).await {
            Ok(caller) if does(&caller) => return Ok(text),
            Err(Refusal::Database(error)) => return Err(error.into()),
            // Revoked, or of a database that is gone.
            _ => {}
        }
    }
    let new = NewKey {
        name: "demo".to_owned(),
        instance: INSTANCE.to_owned(),
        scopes: SCOPES.map(str::to_owned).to_vec(),
        allowed_networks: Vec::new(),
        rate_per_minute: None,
        expires_at: None,
    };
    let mut tx = transaction::begin(&app.database.pool).await?;
    let by = Actor::new("hub", "demo");
    let (_, text) = api_keys::create(&mut tx, by, &new, app.clock.now()).await?;
    tx.commit().await?;
    Ok(text.expose().to_owned())
}

fn does(caller: &ApiCaller) -> bool {
    caller.instance == INSTANCE && SCOPES.iter().all(|scope| caller.may(scope))
}

fn written(dir: &Path) -> Option<String> {
    let text = fs::read_to_string(dir.join(DESCRIPTION_FILE)).ok()?;
    let description: Value = serde_json::from_str(&text).ok()?;
    Some(description.get("apiKey")?.as_str()?.to_owned())
}

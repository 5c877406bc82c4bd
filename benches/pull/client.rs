//! A bare client: signs in, fetches every page, parses it and drops it.

use std::{error::Error, time::Instant};

use serde::Deserialize;
use serde_json::Value;

pub struct Fetched {
    pub records: i64,
    pub seconds: f64,
}

/// A page as somebody reads it who wants nothing but its records.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    items: Vec<serde_json::Map<String, Value>>,
}

#[expect(clippy::disallowed_methods, reason = "the bare client is measured without the SDK's stack")]
pub async fn fetch_and_drop(base_url: &str) -> Result<Fetched, Box<dyn Error>> {
    use kopru_logo::{sandbox, sql};
    let client = reqwest::Client::new();
    let token: Value = client
        .post(format!("{base_url}/api/v1/token"))
        .basic_auth(sandbox::CLIENT_ID, Some(sandbox::CLIENT_SECRET))
        .form(&[
            ("grant_type", "password"),
            ("username", sandbox::USERNAME),
            ("firmno", &sandbox::FIRM.to_string()),
            ("password", sandbox::PASSWORD),
        ])
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let token = token["access_token"].as_str().ok_or("no token")?.to_owned();
    let started = Instant::now();
    let (mut reference, mut records) = (0_i64, 0_i64);
    loop {
        let after = sql::After { reference, limit: 1_000 };
        let text = sql::render(&sql::Query::Items { firm: sandbox::FIRM, after });
        let bytes = client
            .post(format!("{base_url}/api/v1/queries/unsafe"))
            .bearer_auth(&token)
            .header("content-type", "application/json")
            .body(serde_json::to_string(&text)?)
            .send()
            .await?
            .error_for_status()?
            .bytes()
            .await?;
        let page: Page = serde_json::from_slice(&bytes)?;
        let Some(last) = page.items.last() else { break };
        reference = last["INTERNAL_REFERENCE"].as_i64().ok_or("no reference")?;
        records += page.items.len() as i64;
    }
    Ok(Fetched { records, seconds: started.elapsed().as_secs_f64() })
}

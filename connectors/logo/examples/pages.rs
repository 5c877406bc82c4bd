//! How many item rows a second the sandbox serves over loopback: `cargo run --release -p kopru-logo --example pages`.
//! Server and client share the machine, the client only counts bytes.

use std::{error::Error, time::Instant};

use kopru_logo::{
    sandbox::{self, CLIENT_ID, CLIENT_SECRET, PASSWORD, USERNAME},
    sql::{self, After, Query, Since},
};
use kopru_sdk::sandbox::{Sandbox, SandboxOptions};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const ITEMS: u64 = 1_000_000;
const PAGE: u32 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    // One thread for the server, so that its cost is that of one core.
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let running = server.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let system = sandbox::build(&SandboxOptions { items: ITEMS, ..SandboxOptions::default() })?;
        Ok::<_, Box<dyn Error>>(Sandbox::start(listener, vec![("logo", system)], None)?)
    })?;
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    client.block_on(measure(&running.base_url("logo")))
}

async fn measure(base: &str) -> Result<(), Box<dyn Error>> {
    let http = reqwest::Client::builder().build()?;
    let form = [("grant_type", "password"), ("username", USERNAME), ("password", PASSWORD), ("firmno", "7")];
    let token = http.post(format!("{base}/api/v1/token")).basic_auth(CLIENT_ID, Some(CLIENT_SECRET)).form(&form);
    let token: Value = token.send().await?.json().await?;
    let token = token["access_token"].as_str().unwrap_or_default().to_owned();
    let fetch = async |query: &Query| -> Result<usize, Box<dyn Error>> {
        let request = http.post(format!("{base}/api/v1/queries/unsafe")).bearer_auth(&token);
        Ok(request.json(&json!(sql::render(query))).send().await?.error_for_status()?.bytes().await?.len())
    };
    let pages = i64::try_from(ITEMS / u64::from(PAGE))?;
    report("items by LOGICALREF", async || {
        let mut bytes = 0;
        for page in 0..pages {
            let after = After { reference: 999 + page * i64::from(PAGE), limit: PAGE };
            bytes += fetch(&Query::Items { firm: 7, after }).await?;
        }
        Ok(bytes)
    })
    .await?;
    let since =
        chrono::NaiveDate::from_ymd_opt(2024, 6, 1).and_then(|day| day.and_hms_opt(0, 0, 0)).unwrap_or_default();
    report("items by change stamp", async || {
        let mut bytes = 0;
        for _ in 0..pages {
            let since = Since { stamp: since, reference: 0, limit: PAGE };
            bytes += fetch(&Query::ItemsChanged { firm: 7, since }).await?;
        }
        Ok(bytes)
    })
    .await
}

async fn report(what: &str, work: impl AsyncFn() -> Result<usize, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let bytes = work().await?;
    let seconds = begun.elapsed().as_secs_f64();
    let rows = ITEMS as f64;
    println!(
        "{what}: {:.0} rows/s, {:.0} MB/s, {:.0} bytes a row",
        rows / seconds,
        bytes as f64 / seconds / 1e6,
        bytes as f64 / rows
    );
    Ok(())
}

//! The connector's own full passes bring what the sandbox says a hub should end with.

use std::collections::BTreeMap;

use chrono::DateTime;
use kopru_logo::{DESCRIPTOR, sandbox};
use kopru_sdk::{
    Connector, Ctx, Pass, PullRequest, Settings,
    sandbox::{RunningSandbox, Sandbox, SandboxOptions},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::options;

async fn full_pass(connector: &dyn Connector, stream: &str) -> Vec<Value> {
    let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
    let cx = Ctx { now, correlation_id: "test".to_owned() };
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let first = cursor.is_none();
        let request = PullRequest { stream, pass: Pass::Full, cursor: cursor.as_ref(), first, since: None };
        let page = connector.source().unwrap().pull(&cx, request).await.unwrap();
        let mut body: Value = serde_json::from_slice(&page.body).unwrap();
        if let Value::Array(page) = body["items"].take() {
            rows.extend(page);
        }
        if page.end {
            return rows;
        }
        cursor = Some(page.cursor);
    }
}

async fn serve(options: &SandboxOptions) -> (RunningSandbox, Settings, Value) {
    let system = sandbox::build(options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = Sandbox::start(listener, vec![("logo", system.clone())], None).unwrap();
    let values = system.settings(&running.base_url("logo"));
    let settings = Settings { instance: "logo".to_owned(), values, dir: "unused".into() };
    (running, settings, system.state(Some("expected"), None)["streams"].clone())
}

#[tokio::test]
async fn full_passes_bring_the_expected_counts() {
    let switches = json!({"username": "AKTARIM", "password": "", "firm": 12, "period": 3});
    let (_running, mut settings, expected) = serve(&options(1_500, switches)).await;
    settings.values["via"] = json!("sql");
    let connector = (DESCRIPTOR.build)(&settings).unwrap();
    let mut counts = BTreeMap::new();
    for spec in connector.source().unwrap().streams() {
        let rows = full_pass(connector.as_ref(), spec.name).await;
        let kept = rows.iter().filter(|row| match spec.name {
            "items" => row["CARD_TYPE"].as_i64().unwrap() < 20,
            "customers" => row["ACCOUNT_TYPE"] != 2,
            _ => true,
        });
        counts.insert(spec.name, kept.count());
    }
    assert_eq!(json!(counts), expected);
}

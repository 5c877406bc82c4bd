//! Cards that were deleted over there, and what the person at the command line sees of it.

use serde_json::{Value, json};

use super::installation::{CATALOGUE, Setup};

fn id(row: &Value) -> &str {
    row["id"].as_str().expect("an id")
}

#[tokio::test]
async fn deleted_cards_are_told_deactivated_and_brought_back() {
    let hub = Setup::items(60).logo("streams.items.sweep", "ask").start().await;
    hub.load(&CATALOGUE);
    let codes = hub.texts("select code from commerce.product where is_active order by code limit 2").await;
    let gone: Vec<Value> = codes.iter().map(|code| json!({ "code": code, "delete": true })).collect();
    hub.sandbox.change(json!({ "items": gone })).await;

    // A dry run says it and does nothing.
    let dry = hub.run(&["sync", "run", "logo.items", "--full", "--dry-run", "--json"]).expect(0).json();
    assert_eq!(dry["preview"]["deactivated"]["codes"], json!(codes), "{dry}");
    let text = hub.run(&["sync", "run", "logo.items", "--full", "--dry-run"]).expect(0).stdout;
    assert!(text.contains(&format!("would be deactivated: 2: {}, {}", codes[0], codes[1])), "{text}");
    let sweeps = "select count(*) from hub.sweep";
    assert_eq!(hub.number(sweeps).await, 0);
    let inactive = "select count(*) from commerce.product where not is_active";
    let before = hub.number(inactive).await;

    hub.sync("items", &["--full"]);
    let listed = hub.run(&["sync", "sweeps", "list", "--json"]).expect(0).json();
    let sweep = &listed["items"][0];
    assert_eq!((&sweep["state"], &sweep["candidates"]), (&json!("asked"), &json!(2)), "{listed}");
    assert_eq!(hub.number(inactive).await, before);
    let text = hub.run(&["sync", "sweeps", "show", id(sweep)]).expect(0).stdout;
    assert!(text.contains(&codes[0]) && text.contains("sweep = \"ask\""), "{text}");

    let done = hub.run(&["sync", "sweeps", "approve", id(sweep), "--json"]).expect(0).json();
    assert_eq!((&done["state"], &done["deactivated"]), (&json!("done"), &json!(2)), "{done}");
    assert_eq!(hub.number(inactive).await, before + 2);
    hub.run(&["sync", "sweeps", "reject", id(sweep)]).expect(1);
    let undone = hub.run(&["sync", "sweeps", "undo", id(sweep), "--json"]).expect(0).json();
    assert_eq!(undone, json!({ "undone": 2 }));
    assert_eq!(hub.number(inactive).await, before);
    hub.run(&["sync", "sweeps", "undo", id(sweep)]).expect(1);
    hub.run(&["sync", "sweeps", "show", "00000000-0000-7000-8000-000000000000"]).expect(1);
    let told = hub.texts("select action from identity.audit_event where actor like 'cli:%' order by id").await;
    assert_eq!(told, ["sweep.approved", "sweep.undone"]);
}

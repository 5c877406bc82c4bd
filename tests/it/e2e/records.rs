//! Bad records among good ones: the others go in, each bad one is a letter that says what is wrong with it.

use serde_json::{Value, json};

use super::installation::{CATALOGUE, Installation, Setup};

/// Codes of some cards, always the same ones.
async fn codes(hub: &Installation, count: i64) -> Vec<String> {
    let sql = "select code from commerce.product order by md5(code) limit $1";
    sqlx::query_scalar(sql).bind(count).fetch_all(&hub.database.pool).await.expect("codes")
}

/// The open letter of a code.
fn letter(hub: &Installation, code: &str) -> Value {
    let list = hub.run(&["dead-letters", "list", "--code", code, "--json"]).expect(0).json();
    assert_eq!(list["totalCount"], 1, "{code}: {list}");
    list["items"][0].clone()
}

fn id(letter: &Value) -> &str {
    letter["id"].as_str().expect("an id")
}

/// What a letter says: reason, field (where it begins with this one) and value.
#[track_caller]
fn says(letter: &Value, reason: &str, field: &str, value: Option<&str>) {
    assert_eq!((&letter["reason"], &letter["cause"]), (&json!(reason), &json!("data")), "{letter}");
    let named = letter["field"].as_str().unwrap_or_default();
    assert!(named == field || named.starts_with(&format!("{field} (")), "{letter}");
    if let Some(value) = value {
        assert_eq!(letter["value"], value, "{letter}");
    }
}

#[tokio::test]
async fn one_bad_record_spoils_nothing() {
    let hub = Setup::items(100).start().await;
    hub.load(&CATALOGUE);
    let codes = codes(&hub, 4).await;
    hub.sandbox.change(json!({"mutateAll": {"salt": 3}})).await;
    let cards = json!([
        {"code": codes[0], "vat": -1},
        {"code": codes[1], "name": ""},
        {"code": codes[2], "vat": 250},
        {"code": codes[3], "newCode": "U".repeat(60), "vat": 101},
    ]);
    hub.sandbox.change(json!({"items": cards})).await;
    let run = hub.sync("items", &[]);
    assert_eq!((&run["state"], &run["updated"], &run["failed"]), (&"done".into(), &96.into(), &4.into()), "{run}");
    assert_eq!(hub.number("select count(*) from commerce.product where revision = 2").await, 96);

    says(&letter(&hub, &codes[0]), "negative", "vatRate", Some("-1.0"));
    says(&letter(&hub, &codes[1]), "missing_field", "name", None);
    says(&letter(&hub, &codes[2]), "out_of_range", "vatRate", Some("250"));
    says(&letter(&hub, &"U".repeat(60)), "out_of_range", "vatRate", Some("101"));
    hub.audit().await;

    // Seen again, each is the same letter.
    hub.sync("items", &["--full"]);
    assert_eq!(letter(&hub, &codes[0])["seen"], 2);
    assert_eq!(hub.number("select count(*) from hub.dead_letter").await, 4);

    // Mended over there, it goes in, and the letter is history.
    let mended = json!([
        {"code": codes[0], "vat": 10}, {"code": codes[1], "name": "Adı var"}, {"code": codes[2], "vat": 20},
        {"code": "U".repeat(60), "newCode": codes[3], "vat": 20},
    ]);
    hub.sandbox.change(json!({"items": mended})).await;
    assert_eq!(hub.sync("items", &[])["failed"], 0);
    // The one letter left is of a code that no card has any more.
    let left = hub.texts("select key from hub.dead_letter").await;
    assert_eq!(left, ["U".repeat(60)]);
    let ends = hub.texts("select resolution || ' ' || resolved_by from hub.dead_letter_history").await;
    assert_eq!(ends, vec!["superseded hub"; 3]);
    hub.run(&["dead-letters", "discard", id(&letter(&hub, &"U".repeat(60))), "--reason", "renamed back"]).expect(0);
    hub.expect_all_of(&["items"]).await;
}

#[tokio::test]
async fn prices_and_customers_are_judged_as_well() {
    let hub = Setup::items(40).start().await;
    hub.load(&["group_codes", "brands", "unit_sets", "customers", "items", "prices"]);
    let code = &codes(&hub, 1).await[0];
    let customer = &hub.texts("select code from commerce.customer order by code limit 1").await[0];
    hub.sandbox.change(json!({"prices": [{"code": code, "price": -5}]})).await;
    hub.sandbox.change(json!({"customers": [{"code": customer, "title": ""}]})).await;
    assert_eq!(hub.sync("prices", &[])["failed"], 1);
    assert_eq!(hub.sync("customers", &[])["failed"], 1);
    let list = hub.run(&["dead-letters", "list", "--stream", "prices", "--json"]).expect(0).json();
    says(&list["items"][0], "negative", "amount", Some("-5.000000"));
    says(&letter(&hub, customer), "missing_field", "title", None);
    hub.audit().await;
}

#[tokio::test]
async fn wrong_types_come_by_the_lists() {
    // The lists show what was written to a card as it is.
    let hub = Setup::items(60).logo("stream_via.items", "rest").start().await;
    hub.load(&CATALOGUE);
    let codes = codes(&hub, 3).await;
    let cards = json!([
        {"code": codes[0], "fields": {"SELVAT": "yirmi"}},
        {"code": codes[1], "fields": {"NAME": ["bir", "liste"]}},
        {"code": codes[2], "fields": {"RECORD_STATUS": "belki"}},
    ]);
    hub.sandbox.change(json!({"items": cards})).await;
    let run = hub.sync("items", &[]);
    assert_eq!((&run["state"], &run["failed"]), (&"done".into(), &3.into()), "{run}");
    says(&letter(&hub, &codes[0]), "not_a_number", "vatRate", Some("yirmi"));
    says(&letter(&hub, &codes[1]), "wrong_type", "name", None);
    says(&letter(&hub, &codes[2]), "not_a_flag", "isActive", Some("belki"));
    hub.audit().await;
}

#[tokio::test]
async fn letters_are_shown_replayed_edited_and_discarded() {
    let hub = Setup::items(40).start().await;
    hub.load(&CATALOGUE);
    let codes = codes(&hub, 3).await;
    let bad: Vec<Value> = codes.iter().map(|code| json!({"code": code, "vat": -7})).collect();
    hub.sandbox.change(json!({"items": bad})).await;
    hub.sync("items", &[]);
    let [first, second, third] = [0, 1, 2].map(|place: usize| letter(&hub, &codes[place]));
    assert_eq!(first["fingerprint"], second["fingerprint"]);

    let shown = hub.run(&["dead-letters", "show", id(&first), "--json"]).expect(0).json();
    assert_eq!((&shown["alike"], &shown["code"]), (&json!(3), &json!(codes[0])));
    let payload = shown["payload"].as_str().expect("the record");
    assert!(payload.contains(&codes[0]) && !payload.contains(&codes[1]), "{payload}");
    let text = hub.run(&["dead-letters", "show", id(&first)]).expect(0).stdout;
    for part in ["vatRate", "-7.0", "negative", &codes[0]] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }

    // As it is it fails again, and stays the same letter.
    hub.run(&["dead-letters", "replay", id(&first)]).expect(0);
    let again = letter(&hub, &codes[0]);
    assert_eq!(
        (&again["id"], &again["state"], &again["attempts"]),
        (&first["id"], &json!("dead"), &json!(2)),
        "{again}"
    );

    // Put right by hand it goes in.
    hub.kopru.write("edited.json", &payload.replace("-7", "10"));
    let told = hub.run(&["dead-letters", "replay", id(&first), "--edit", "edited.json", "--json"]).expect(0).json();
    assert_eq!(told, json!({"done": 1, "meant": 1}));
    let rate = "select trim_scale(vat_rate)::text from commerce.product where code = (select key from hub.dead_letter_history)";
    assert_eq!(hub.texts(rate).await, ["10"]);
    assert_eq!(hub.texts("select resolution from hub.dead_letter_history").await, ["replayed"]);

    // An edition that is none is refused, and the letter stays.
    hub.kopru.write("broken.json", "{\"items\": [");
    let refused = hub.run(&["dead-letters", "replay", id(&second), "--edit", "broken.json"]).expect(1);
    assert!(refused.stderr.contains("cannot be read"), "{}", refused.stderr);
    assert_eq!(letter(&hub, &codes[1]), second);
    hub.run(&["dead-letters", "replay", id(&second), "--edit", "nowhere.json"]).expect(2);
    hub.run(&["dead-letters", "replay"]).expect(2);
    hub.run(&["dead-letters", "replay", "--filter", "raeson=x"]).expect(2);
    hub.run(&["dead-letters", "replay", "00000000-0000-7000-8000-000000000000"]).expect(1);
    hub.run(&["dead-letters", "show", "00000000-0000-7000-8000-000000000000"]).expect(1);

    hub.run(&["dead-letters", "discard", id(&third)]).expect(2);
    hub.run(&["dead-letters", "discard", id(&third), "--reason", "nobody sells it"]).expect(0);
    hub.run(&["dead-letters", "discard", id(&third), "--reason", "once more"]).expect(1);
    let kept = hub.texts("select note from hub.dead_letter_history where resolution = 'discarded'").await;
    assert_eq!(kept, ["nobody sells it"]);

    // By a filter: the plan first, then what it meant and nothing else.
    let one = ["dead-letters", "replay", "--filter", "reason=negative,stream=items", "--json"];
    let plan = hub.run(&one).expect(0).json();
    assert_eq!((&plan["state"], &plan["total"]), (&json!("planned"), &json!(1)), "{plan}");
    assert_eq!(
        plan["shares"],
        json!([{
            "connector": "logo", "stream": "items", "cause": "data", "reason": "negative", "count": 1,
        }])
    );
    assert_eq!(letter(&hub, &codes[1])["attempts"], 1, "nothing was done yet");
    let done = hub.run(&["dead-letters", "replays", "start", id(&plan), "--json"]).expect(0).json();
    assert_eq!((&done["state"], &done["affected"]), (&json!("done"), &json!(1)), "{done}");
    assert_eq!(done["outcome"], json!({ "replaying": 0, "dead": 1, "resolved": 0 }));
    assert_eq!(letter(&hub, &codes[1])["attempts"], 2);
    hub.run(&["dead-letters", "replays", "start", id(&plan)]).expect(1);
    hub.run(&["dead-letters", "replays", "cancel", id(&plan)]).expect(1);
    let shown = hub.run(&["dead-letters", "replay", "--all", "--connector", "logo", "--rate", "50/s"]).expect(0);
    assert!(shown.stdout.contains("50/s") && shown.stderr.contains("replays start"), "{shown:?}");
    hub.run(&["dead-letters", "replay", "--all", "--rate", "0"]).expect(2);
    hub.run(&["dead-letters", "replay", id(&second), "--all"]).expect(2);
    hub.run(&["dead-letters", "replay", "--all", "--connector", "logo", "--yes"]).expect(0);
    assert_eq!(letter(&hub, &codes[1])["attempts"], 3);
    let groups = hub.run(&["dead-letters", "groups", "--json"]).expect(0).json();
    assert_eq!((&groups["items"][0]["count"], &groups["items"][0]["example"]), (&json!(1), &second["id"]), "{groups}");
    let plans = hub.run(&["dead-letters", "replays", "list", "--json"]).expect(0).json();
    let states: Vec<&str> =
        plans["items"].as_array().expect("plans").iter().filter_map(|it| it["state"].as_str()).collect();
    assert_eq!(states, ["done", "planned", "done"]);
    hub.run(&["dead-letters", "replays", "cancel", id(&plans["items"][1])]).expect(0);

    hub.run(&["dead-letters", "discard", "--field", "vatRate"]).expect(2);
    let gone = hub.run(&["dead-letters", "discard", "--field", "vatRate", "--reason", "the rest", "--yes", "--json"]);
    assert_eq!(gone.expect(0).json()["outcome"], json!({ "replaying": 0, "dead": 0, "resolved": 1 }));
    let told = "select concat_ws(' ', action, count(*)) from identity.audit_event where actor like 'cli:%'
                group by action order by action";
    assert_eq!(
        hub.texts(told).await,
        [
            "dead_letter.discarded 2",
            "dead_letter.edited 1",
            "dead_letter.replayed 2",
            "replay_plan.cancelled 1",
            "replay_plan.finished 3",
            "replay_plan.started 3",
        ]
    );
    hub.audit().await;
}

//! Endpoints and secrets: made, changed, rotated, shown, removed.

use std::time::Duration;

use kopru::{
    hub::webhooks::{
        EndpointError,
        address::{Address, Subscription},
        change::{self, EndpointChange},
        secrets, trial,
    },
    outbox::EventType::{OrderCreated, OrderUpdated, StockChanged},
};
use kopru_sdk::outbound::Blocked;
use serde_json::{Value, json};

use super::office::{BY, Office};
use crate::support::{
    listener::{happen, say},
    webhook_receiver::Answer,
};

#[tokio::test]
async fn an_event_arrives_signed_with_its_record_and_revision() {
    let office = Office::new().await;
    let id = office.endpoint(&["order.*"]).await;
    happen(office.hub.pool(), OrderCreated, &[(7, 1)]).await;
    happen(office.hub.pool(), StockChanged, &[(7, 1)]).await;
    office.deliver().await;
    let received = office.receiver.received();
    assert_eq!(received.len(), 1, "the stock was not asked for");
    let request = &received[0];
    assert_eq!(request.line, "POST /hooks HTTP/1.1");
    assert_eq!(request.header("content-type"), "application/json");
    assert!(request.is_signed_with(&office.secrets(id).await[0]));
    let event = office.hub.row("select id, created_at from hub.outbox_event where type = 'order.created'").await;
    assert_eq!(request.header("webhook-id"), event["id"]);
    let body = request.json();
    assert_eq!((&body["type"], &body["id"]), (&json!("order.created"), &event["id"]));
    assert_eq!(body["object"], json!({ "kind": "order", "id": 7, "revision": 1 }));
    assert_eq!(body["data"], json!({ "id": 7, "revision": 1 }));
    assert_eq!(office.hub.row("select receipt from hub.delivery_history").await, json!({ "receipt": "204" }));
}

#[tokio::test]
async fn events_of_full_passes_go_to_endpoints_that_asked() {
    let office = Office::new().await;
    office.endpoint(&["*"]).await;
    say(office.hub.pool(), StockChanged, "erp", true, &[(1, 1)]).await;
    office.deliver().await;
    assert!(office.receiver.received().is_empty());
    let mut eager = office.new_endpoint(&office.receiver.url(), &["stock.changed"]).await.expect("an endpoint");
    eager.bulk = true;
    office.register(&eager).await;
    say(office.hub.pool(), StockChanged, "erp", true, &[(2, 1)]).await;
    office.deliver().await;
    assert_eq!(office.receiver.received().len(), 1);
}

#[tokio::test]
async fn both_secrets_sign_while_a_rotation_overlaps_and_only_the_new_one_after_it() {
    let office = Office::new().await;
    let id = office.endpoint(&["*"]).await;
    let old = office.secrets(id).await.remove(0);
    let rotate = async |overlap| {
        let mut tx = office.hub.pool().begin().await.expect("begin");
        let now = office.hub.engine.clock.now();
        let done = secrets::rotate(&mut tx, office.settings(), BY, now, id, overlap).await;
        tx.commit().await.expect("committed");
        office.keep().await;
        done
    };
    rotate(Duration::from_secs(3600)).await.expect("rotated");
    let both = office.secrets(id).await;
    assert_eq!((both.len(), &both[1]), (2, &old));
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    office.deliver().await;
    // The hour is over, though nobody looked at the endpoint meanwhile.
    office.hub.execute("update hub.webhook_secret set expires_at = now() where expires_at is not null").await;
    office.keep().await;
    happen(office.hub.pool(), OrderCreated, &[(2, 1)]).await;
    office.deliver().await;
    let received = office.receiver.received();
    assert!(received[0].is_signed_with(&both[0]) && received[0].is_signed_with(&old));
    assert!(received[1].is_signed_with(&both[0]) && !received[1].is_signed_with(&old));
    assert_eq!(office.show(id).await.secrets, 1);
    rotate(Duration::from_secs(3600)).await.expect("rotated");
    rotate(Duration::ZERO).await.expect("rotated");
    assert_eq!(office.secrets(id).await.len(), 1, "without an overlap all old ones end at once");
    let long = rotate(Duration::from_secs(31 * 24 * 3600)).await;
    assert!(matches!(long, Err(EndpointError::Overlap)));
}

#[tokio::test]
async fn secrets_are_in_no_table_no_list_and_no_book() {
    let office = Office::new().await;
    let id = office.endpoint(&["*"]).await;
    let secret = office.secrets(id).await.remove(0);
    let bare = secret.trim_start_matches("whsec_").to_owned();
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    office.receiver.then([Answer::With(500, "", "so what")]);
    office.deliver().await;
    trial::send(office.hub.pool(), office.settings(), BY, office.hub.engine.clock.now(), id).await.expect("tested");
    assert!(!format!("{:?} {:?}", office.show(id).await, office.settings()).contains(&bare));
    let tables = office
        .hub
        .rows("select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('hub', 'identity')")
        .await;
    for table in tables {
        let name = table["name"].as_str().expect("a name").to_owned();
        let kept = office.hub.rows(&format!("select t::text as row from {name} t where t::text like '%{bare}%'")).await;
        assert_eq!(kept, Vec::<Value>::new(), "{name}");
    }
    let actions = office.hub.rows("select action, detail from identity.audit_event order by id").await;
    let names: Vec<&str> = actions.iter().filter_map(|row| row["action"].as_str()).collect();
    assert_eq!(names, ["webhook_endpoint.created", "webhook_endpoint.secrets_shown", "webhook_endpoint.tested"]);
    assert_eq!(actions[0]["detail"]["host"], json!(office.receiver.address.to_string()), "the host, not the path");
}

#[tokio::test]
async fn addresses_that_lead_inside_are_refused_when_they_are_registered() {
    let office = Office::new().await;
    for (url, reason) in [
        ("http://10.0.0.1/", "not a public address"),
        ("https://[::ffff:127.0.0.1]/", "not a public address"),
        ("https://169.254.169.254/latest/", "not a public address"),
        ("https://2851995649/", "not a public address"),
        ("https://user:pass@93.184.215.14/", "user name or a password"),
        ("http://93.184.215.14/", "without TLS"),
        ("https://93.184.215.14:22/", "port 22"),
        ("ftp://93.184.215.14/", "not http or https"),
        ("hello", "is no address"),
    ] {
        let error = office.new_endpoint(url, &["*"]).await.expect_err("refused").to_string();
        assert!(error.contains(reason), "{url}: {error}");
    }
    let named = Address::judge(office.settings(), "https://localhost/").await;
    assert!(matches!(named, Err(EndpointError::Blocked(Blocked::Inside { .. })) | Ok(_)), "{named:?}");
}

#[tokio::test]
async fn what_is_changed_is_changed_and_the_rest_stays() {
    let office = Office::new().await;
    let id = office.endpoint(&["*"]).await;
    let before = office.show(id).await;
    let wanted = EndpointChange {
        events: Some(Subscription::parse(&["order.created"]).expect("known")),
        rate_per_second: Some(Some(5)),
        ..EndpointChange::default()
    };
    office.change(id, &wanted).await;
    let after = office.show(id).await;
    assert_eq!((after.events, after.rate_per_second), (vec!["order.created".to_owned()], Some(5)));
    assert_eq!((after.url, after.description), (before.url, before.description));
    assert_eq!(after.revision, before.revision + 1);
    office.change(id, &EndpointChange { rate_per_second: Some(None), ..EndpointChange::default() }).await;
    assert_eq!(office.show(id).await.rate_per_second, None);
    happen(office.hub.pool(), OrderUpdated, &[(1, 1)]).await;
    happen(office.hub.pool(), OrderCreated, &[(1, 2)]).await;
    office.deliver().await;
    assert_eq!(office.receiver.revisions(), [2]);
    let mut tx = office.hub.pool().begin().await.expect("begin");
    let bad = EndpointChange { rate_per_second: Some(Some(0)), ..EndpointChange::default() };
    assert!(matches!(change::change(&mut tx, BY, id, &bad).await, Err(EndpointError::Rate)));
    let unknown = change::change(&mut tx, BY, 99, &EndpointChange::default()).await;
    assert!(matches!(unknown, Err(EndpointError::Unknown(99))));
}

#[tokio::test]
async fn an_endpoint_that_is_off_is_told_nothing_and_what_it_missed_while_on_goes_out_later() {
    let office = Office::new().await;
    let id = office.endpoint(&["*"]).await;
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    crate::support::listener::route(&office.hub).await;
    office.change(id, &EndpointChange { enabled: Some(false), ..EndpointChange::default() }).await;
    happen(office.hub.pool(), OrderCreated, &[(2, 1)]).await;
    office.deliver().await;
    kopru::hub::housekeeping::mend_deliveries(&office.hub.engine).await.expect("mended");
    assert!(office.receiver.received().is_empty());
    let shown = office.show(id).await;
    assert_eq!((shown.enabled, shown.disabled_cause.as_deref(), shown.held), (false, Some("person"), 1));
    office.change(id, &EndpointChange { enabled: Some(true), ..EndpointChange::default() }).await;
    kopru::hub::housekeeping::mend_deliveries(&office.hub.engine).await.expect("mended");
    office.deliver().await;
    assert_eq!(office.receiver.received().len(), 1, "what happened while it was off was not for it");
}

#[tokio::test]
async fn a_removed_endpoint_is_gone_with_its_secrets_and_what_it_was_not_told_is_called_off() {
    let office = Office::new().await;
    let id = office.endpoint(&["*"]).await;
    happen(office.hub.pool(), OrderCreated, &[(1, 1), (2, 1)]).await;
    crate::support::listener::route(&office.hub).await;
    let mut tx = office.hub.pool().begin().await.expect("begin");
    change::remove(&mut tx, BY, id).await.expect("removed");
    tx.commit().await.expect("committed");
    office.keep().await;
    happen(office.hub.pool(), OrderCreated, &[(3, 1)]).await;
    office.deliver().await;
    assert!(office.receiver.received().is_empty());
    assert_eq!(office.hub.count("hub.delivery").await, 0);
    assert_eq!(office.hub.count("hub.delivery_history where state = 'cancelled'").await, 2);
    assert_eq!(office.hub.count("hub.webhook_secret").await, 0);
    assert!(office.hub.engine.targets.get(&format!("webhook:{id}")).is_none());
}

#[tokio::test]
async fn a_test_event_tells_at_once_what_the_receiver_says() {
    let office = Office::new().await;
    let id = office.endpoint(&["order.*"]).await;
    let test = async || {
        let now = office.hub.engine.clock.now();
        trial::send(office.hub.pool(), office.settings(), BY, now, id).await.expect("sent")
    };
    let well = test().await;
    assert!(well.ok && well.status == Some(204), "{well:?}");
    let request = office.receiver.received().remove(0);
    assert_eq!(request.json()["type"], "webhook.test");
    assert!(request.is_signed_with(&office.secrets(id).await[0]));
    office.change(id, &EndpointChange { enabled: Some(false), ..EndpointChange::default() }).await;
    office.receiver.then([Answer::With(401, "", "who are you?"), Answer::Reset]);
    let refused = test().await;
    assert!(!refused.ok && refused.status == Some(401), "{refused:?}");
    assert_eq!(refused.answer.as_deref(), Some("401 who are you?"));
    let broken = test().await;
    assert!(!broken.ok && broken.status.is_none() && broken.detail.is_some(), "{broken:?}");
    assert_eq!(office.hub.count("hub.delivery").await + office.done().await, 0, "it is no delivery");
}

#[tokio::test]
async fn without_a_master_key_no_endpoint_is_made_and_what_is_there_is_held() {
    let office = Office::new().await;
    office.endpoint(&["*"]).await;
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    crate::support::listener::route(&office.hub).await;
    let mut build = crate::support::hub::Build { polled: &[], ..Default::default() };
    build.settings.webhooks = super::office::settings();
    let other = build.engine(office.hub.pool(), &office.hub.system, "erp");
    kopru::hub::webhooks::keep::once(&other).await.expect("kept");
    kopru::hub::deliveries::worker::turn(&other).await.expect("a turn");
    kopru::hub::housekeeping::mend_deliveries(&other).await.expect("mended");
    let held = office.hub.row("select state, cause, reason from hub.delivery").await;
    assert_eq!(held, json!({ "state": "held", "cause": "credential", "reason": "secret_unreadable" }));
    let mut none = super::office::settings();
    none.sealer = None;
    let mut tx = office.hub.pool().begin().await.expect("begin");
    let new = office.new_endpoint(&office.receiver.url(), &["*"]).await.expect("an endpoint");
    let refused = change::add(&mut tx, &none, BY, office.hub.engine.clock.now(), &new).await;
    assert!(matches!(refused, Err(EndpointError::NoMasterKey)));
}

//! The other way in, and the good way out.

use rustix::process::Signal;
use serde_json::json;

use super::installation::{CATALOGUE, STREAMS, Setup};

#[tokio::test]
async fn everything_arrives_by_rest_lists_of_twenty_five_as_well() {
    // A site that caps its pages, whatever is asked for.
    let hub = Setup::items(160).logo("via", "rest").logo("page_limit", 500).switch("page_ceiling", 25).start().await;
    hub.load(&STREAMS);
    hub.expect_all_of(&STREAMS).await;
    hub.expect_like_logo(15).await;

    let code = &hub.texts("select code from commerce.product order by md5(code) limit 1").await[0];
    hub.sandbox.change(json!({"items": [{"code": code, "name": "Değişti"}], "insert": {"items": 3}})).await;
    let run = hub.sync("items", &[]);
    assert_eq!(
        (&run["pass"], &run["updated"], &run["created"]),
        (&"incremental".into(), &1.into(), &3.into()),
        "{run}"
    );
    hub.expect_all_of(&["items"]).await;
}

#[tokio::test]
async fn both_ways_in_give_the_same_records() {
    let hub = Setup::items(60).start().await;
    hub.load(&["group_codes", "brands", "unit_sets", "customers", "items", "prices"]);
    let revisions = "select sum(revision)::bigint from commerce.price";
    let before = hub.number(revisions).await;
    let units =
        "select concat_ws(' ', p.code, u) from commerce.product p join commerce.product_unit u on u.product_id = p.id
                 order by 1";
    let by_sql = hub.texts(units).await;
    let packings = "select count(*) from commerce.product_unit where barcode is not null and not is_main";
    assert!(hub.number(packings).await > 0, "cartons have barcodes of their own");
    for stream in ["group_codes", "brands", "unit_sets", "customers", "items", "prices"] {
        let mut command = hub.command(&["sync", "run", &format!("logo.{stream}"), "--full", "--json"]);
        command.env("KOPRU__CONNECTORS__LOGO__VIA", "rest");
        let run = crate::support::kopru::Run::from(command.output().expect("it runs")).expect(0).json();
        assert_eq!((&run["created"], &run["updated"], &run["failed"]), (&0.into(), &0.into(), &0.into()), "{run}");
    }
    assert_eq!(hub.number(revisions).await, before);
    assert_eq!(hub.texts(units).await, by_sql);
}

#[tokio::test]
async fn a_daemon_that_is_told_to_stop_finishes_its_page_and_gives_everything_back() {
    let hub = Setup::items(400).logo("sql_page", 10).only(&CATALOGUE).start().await;
    let slow = json!([{"match": {"path": "/api/v1/queries/unsafe"}, "do": "latency", "value": 100}]);
    hub.sandbox.faults(slow).await;
    let mut first = hub.daemon().await;
    let second = hub.daemon().await;
    hub.until("items come in", "select count(*) > 50 from commerce.product").await;
    let owner =
        "select pid::bigint from hub.daemon where id = (select owner from hub.lease where name = 'connector:logo')";
    assert_eq!(hub.number(owner).await, i64::from(first.process.id()));
    let id = hub
        .texts(sqlx::AssertSqlSafe(format!("select id::text from hub.daemon where pid = {}", first.process.id())))
        .await;
    first.process.signal(Signal::TERM);
    assert!(first.process.ended().success(), "{}", first.process.log());
    let left = "select count(*) from hub.daemon where pid = ".to_owned() + &first.process.id().to_string();
    assert_eq!(hub.number(sqlx::AssertSqlSafe(left)).await, 0);
    let held = format!("select count(*) from hub.lease where owner = '{}'", id[0]);
    assert_eq!(hub.number(sqlx::AssertSqlSafe(held)).await, 0, "nobody has to wait for its leases to run out");

    hub.until("the other one goes on", "select exists (select from hub.run where trigger = 'resume' and created > 0)")
        .await;
    hub.sandbox.faults(json!([])).await;
    hub.until("the load is complete", "select count(*) = 4 from hub.stream where last_full_at is not null").await;
    second.stop();
    let ends = hub.texts("select distinct state from hub.run order by 1").await;
    assert_eq!(ends, ["done", "interrupted"]);
    hub.expect_all_of(&["items"]).await;
}

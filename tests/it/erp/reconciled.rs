//! Both sides of a stream compared.

use kopru::hub::{
    reconcile::{self, Finding, Report},
    runs, scheduler,
};
use serde_json::{Value, json};

use crate::support::{
    hub::{ERP, Hub},
    system::page,
};

fn card(code: &str, version: i64, name: &str) -> Value {
    json!({ "code": code, "id": code, "version": version, "name": name, "description": "d" })
}

async fn reconcile(hub: &Hub, repairs: bool) -> (Report, Vec<Finding>) {
    let id = reconcile::ask(hub.pool(), &hub.engine, ERP, "products", repairs).await.expect("asked");
    assert_eq!(scheduler::run_alone(&hub.engine, id).await.expect("the run ends"), scheduler::Alone::Worked);
    let run = runs::get(hub.pool(), id).await.expect("the store").expect("the run");
    assert_eq!((run.state.as_str(), run.error), ("done", None));
    let report = reconcile::show(hub.pool(), id).await.expect("the store").expect("a report");
    (report, reconcile::findings(hub.pool(), id, None, 100).await.expect("findings"))
}

#[tokio::test]
async fn what_differs_is_told_field_by_field_and_repaired_by_the_same_command() {
    let hub = Hub::new().await;
    let all = [card("A", 1, "Kamera"), card("B", 1, "Kablo"), card("C", 1, "Kutu"), card("D", 1, "Dirsek")];
    hub.full("products", [page(all[..3].to_vec())]).await;
    assert_eq!(hub.count("hub.reconciliation").await, 0);

    // Behind the source's back one changed, one is new over there, one is gone; description is the hub's own.
    hub.execute(
        "update commerce.product set name = 'Başka', description = 'ours' where code = 'B';
         update commerce.product set description = 'ours' where code = 'A'",
    )
    .await;
    let now = [all[0].clone(), all[1].clone(), all[3].clone(), json!({ "code": "E", "version": 1 })];
    hub.system.full("products", [page(now[..2].to_vec()), page(now[2..].to_vec())]);
    let before = hub.count("hub.outbox_event").await;
    let (report, findings) = reconcile(&hub, false).await;
    assert_eq!(
        (report.checked, report.same, report.differing, report.missing_here, report.missing_there, report.refused),
        (4, 1, 1, 1, 1, 1)
    );
    let told: Vec<(&str, &str)> =
        findings.iter().map(|finding| (finding.kind.as_str(), finding.code.as_str())).collect();
    assert_eq!(told, [("differs", "B"), ("missing_here", "D"), ("missing_there", "C"), ("refused", "E")]);
    assert_eq!(findings[0].fields, Some(json!({ "name": { "ours": "Başka", "theirs": "Kablo" } })));
    assert_eq!(hub.count("hub.outbox_event").await, before, "it only looked");
    assert_eq!(hub.count("commerce.product").await, 3);
    assert_eq!(hub.count("hub.reconciliation_seen").await, 0);

    let (repaired, _) = reconcile(&hub, true).await;
    assert_eq!((repaired.repairs, repaired.differing, repaired.missing_here), (true, 1, 1));
    let name = hub.row("select name, description from commerce.product where code = 'B'").await;
    assert_eq!(name, json!({ "name": "Kablo", "description": "ours" }));
    assert_eq!(hub.count("commerce.product").await, 4);
    let (after, findings) = reconcile(&hub, false).await;
    assert_eq!((after.differing, after.missing_here), (0, 0), "{findings:?}");
    assert_eq!(reconcile::list(hub.pool(), Some("erp.products"), None, 10).await.expect("listed").len(), 3);
}

#[tokio::test]
async fn what_a_person_holds_against_the_source_is_no_difference() {
    let hub = Hub::new().await;
    hub.full("products", [page([card("A", 1, "Kamera"), card("B", 1, "Kablo")])]).await;
    hub.execute(
        "update commerce.product set name = 'IP kamera', barcode = '869' where code = 'A';
         update commerce.product set name = 'Kablo CAT6' where code = 'B';
         insert into commerce.product_override (product_id, field, value, source_value, reason, created_at, created_by)
             select id, 'name', to_jsonb(name), '\"Kamera\"', 'kısa', now(), 'user:1' from commerce.product;",
    )
    .await;
    let bit = kopru::commerce::ownership::Field::bit(kopru::commerce::ownership::ProductField::Name);
    hub.execute(&format!("update commerce.product set overridden = {bit}")).await;
    let barcode =
        json!({ "code": "A", "id": "A", "version": 1, "name": "Kamera", "description": "d", "barcode": "868" });
    hub.system.full("products", [page([barcode, card("B", 1, "Kablo")])]);
    let (report, findings) = reconcile(&hub, true).await;
    // B differs in nothing but what is held; of A the other field is told and repaired alone.
    assert_eq!((report.checked, report.same, report.differing), (2, 1, 1), "{findings:?}");
    assert_eq!(findings[0].fields, Some(json!({ "barcode": { "ours": "869", "theirs": "868" } })));
    let names = hub.rows("select name from commerce.product order by code").await;
    assert_eq!(names, [json!({ "name": "IP kamera" }), json!({ "name": "Kablo CAT6" })]);
}

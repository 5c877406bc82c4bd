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

//! Names that lead elsewhere by the time of the call.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use kopru::outbox::EventType::OrderCreated;
use kopru_sdk::{
    async_trait,
    outbound::{Allowed, Guard, Resolver},
};
use serde_json::json;

use super::office::Office;
use crate::support::listener::happen;

/// A name server under the caller's control.
struct Names {
    leads_to: Mutex<IpAddr>,
    asked: AtomicUsize,
}

impl Names {
    fn new(address: &str) -> Arc<Names> {
        Arc::new(Names { leads_to: Mutex::new(address.parse().expect("an address")), asked: AtomicUsize::new(0) })
    }

    fn point_to(&self, address: &str) {
        *self.leads_to.lock().expect("an address") = address.parse().expect("an address");
    }
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(vec![*self.leads_to.lock().expect("an address")])
    }
}

#[tokio::test]
async fn a_name_that_was_public_and_leads_inside_at_the_call_is_not_called() {
    let names = Names::new("93.184.215.14");
    let seam = Arc::clone(&names);
    let office = Office::with(|build| {
        build.settings.webhooks.guard = Guard::resolving(Vec::new(), seam);
        build.settings.breaker_threshold = 100;
    })
    .await;
    let url = format!("https://hooks.example.com:{}/", office.receiver.address.port());
    let new = office.new_endpoint(&url, &["*"]).await.expect("public so far");
    office.register(&new).await;
    names.point_to("127.0.0.1");
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    office.deliver().await;
    assert_eq!(office.receiver.connections(), 0);
    let attempt = office.hub.rows("select outcome, cause, detail from hub.attempt").await.remove(0);
    assert_eq!((&attempt["outcome"], &attempt["cause"]), (&json!("waiting"), &json!("remote")));
    assert!(attempt["detail"].as_str().is_some_and(|text| text.contains("not a public address")), "{attempt}");
    // Not even to see whether somebody is there.
    let target = office.hub.engine.targets.now().values().next().cloned().expect("the endpoint");
    assert!(target.check(&office.hub.engine.context("test")).await.is_err());
    assert_eq!(office.receiver.connections(), 0);
}

#[tokio::test]
async fn what_was_judged_is_what_is_connected_to() {
    let names = Names::new("127.0.0.1");
    let seam = Arc::clone(&names);
    let office = Office::with(|build| {
        let allowed = vec![Allowed::parse("127.0.0.0/8").expect("a network")];
        build.settings.webhooks.guard = Guard::resolving(allowed, seam);
    })
    .await;
    let url = format!("http://hooks.example.com:{}/hooks", office.receiver.address.port());
    let new = office.new_endpoint(&url, &["*"]).await.expect("listed");
    office.register(&new).await;
    let asked = names.asked.load(Ordering::SeqCst);
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    office.deliver().await;
    assert_eq!(office.done().await, 1, "no other name server knows this name");
    assert_eq!(names.asked.load(Ordering::SeqCst), asked + 1, "resolved once for the connection");
    let host = office.receiver.received()[0].header("host").to_owned();
    assert_eq!(host, format!("hooks.example.com:{}", office.receiver.address.port()));
}

#[tokio::test]
async fn an_address_that_is_a_number_is_judged_again_for_each_call() {
    let office = Office::new().await;
    office.endpoint(&["*"]).await;
    // The list of the configuration has become shorter since.
    let mut build = crate::support::hub::Build { polled: &[], ..Default::default() };
    build.settings.webhooks = office.settings().clone();
    build.settings.webhooks.guard = Guard::default();
    build.settings.breaker_threshold = 100;
    let strict = build.engine(office.hub.pool(), &office.hub.system, "erp");
    kopru::hub::webhooks::keep::once(&strict).await.expect("kept");
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    crate::support::listener::route(&office.hub).await;
    kopru::hub::deliveries::worker::turn(&strict).await.expect("a turn");
    assert_eq!(office.receiver.connections(), 0);
    assert_eq!(office.hub.count("hub.attempt where detail like '%not a public address%'").await, 1);
}

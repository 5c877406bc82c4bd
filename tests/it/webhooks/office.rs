//! A hub with webhook endpoints and a receiver that it may call.

use std::time::Duration;

use kopru::{
    audit::Actor,
    hub::webhooks::{
        EndpointError, WebhookSettings,
        address::{Address, Subscription},
        change::{self, EndpointChange, NewEndpoint},
        endpoint::{self, Endpoint},
        keep, secrets,
    },
    seal::Sealer,
};
use kopru_sdk::outbound::{Allowed, Guard};

use crate::support::{
    hub::{Build, Hub},
    listener,
    webhook_receiver::WebhookReceiver,
};

pub const BY: Actor<'_> = Actor::new("cli:ayse", "test");

pub fn allowing(list: &[&str]) -> Guard {
    Guard::new(list.iter().map(|text| Allowed::parse(text).expect("listed")).collect())
}

pub fn settings() -> WebhookSettings {
    WebhookSettings {
        sealer: Some(Sealer::random().expect("a key")),
        guard: allowing(&["127.0.0.0/8"]),
        timeout: Duration::from_secs(30),
        ..WebhookSettings::default()
    }
}

pub struct Office {
    pub hub: Hub,
    pub receiver: WebhookReceiver,
}

impl Office {
    pub async fn new() -> Office {
        Office::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Build)) -> Office {
        let hub = Hub::with(|build| {
            build.polled = &[];
            build.settings.webhooks = settings();
            change(build);
        })
        .await;
        Office { hub, receiver: WebhookReceiver::start().await }
    }

    pub fn settings(&self) -> &WebhookSettings {
        &self.hub.engine.settings.webhooks
    }

    pub async fn new_endpoint(&self, url: &str, events: &[&str]) -> Result<NewEndpoint, EndpointError> {
        Ok(NewEndpoint {
            address: Address::judge(self.settings(), url).await?,
            description: "the shop".to_owned(),
            events: Subscription::parse(events)?,
            bulk: false,
            rate_per_second: None,
            enabled: true,
        })
    }

    /// Registers the receiver, and has this process know it.
    pub async fn endpoint(&self, events: &[&str]) -> i64 {
        let new = self.new_endpoint(&self.receiver.url(), events).await.expect("an endpoint");
        self.register(&new).await
    }

    pub async fn register(&self, new: &NewEndpoint) -> i64 {
        let mut tx = self.hub.pool().begin().await.expect("begin");
        let now = self.hub.engine.clock.now();
        let id = change::add(&mut tx, self.settings(), BY, now, new).await.expect("registered");
        tx.commit().await.expect("committed");
        self.keep().await;
        id
    }

    pub async fn keep(&self) {
        keep::once(&self.hub.engine).await.expect("kept");
    }

    pub async fn change(&self, id: i64, wanted: &EndpointChange) {
        let mut tx = self.hub.pool().begin().await.expect("begin");
        change::change(&mut tx, BY, id, wanted).await.expect("changed");
        tx.commit().await.expect("committed");
        self.keep().await;
    }

    pub async fn show(&self, id: i64) -> Endpoint {
        let now = self.hub.engine.clock.now();
        endpoint::find(self.hub.pool(), now, id).await.expect("the store").expect("it is there")
    }

    /// The secrets that sign, newest first.
    pub async fn secrets(&self, id: i64) -> Vec<String> {
        let mut tx = self.hub.pool().begin().await.expect("begin");
        let now = self.hub.engine.clock.now();
        let shown = secrets::show(&mut tx, self.settings(), BY, now, id).await.expect("shown");
        tx.commit().await.expect("committed");
        shown.iter().map(|one| one.secret.expose().to_owned()).collect()
    }

    /// Routes and calls until nothing is due.
    pub async fn deliver(&self) {
        listener::deliver(&self.hub).await;
    }

    pub async fn done(&self) -> i64 {
        self.hub.count("hub.delivery_history where state = 'done'").await
    }
}

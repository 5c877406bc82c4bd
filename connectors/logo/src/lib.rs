//! LOGO Tiger through the Logo Objects REST service.
//!
//! | module | subject |
//! | --- | --- |
//! | [`settings`] | what varies from site to site |
//! | `client` | one function per remote operation, with the token and its renewal |
//! | `token` | signing in: Basic or body, early renewal, one at a time |
//! | [`wire`] | LOGO's words, read from bytes |
//! | [`faults`] | LOGO's refusals, classed |
//! | [`streams`] | what each stream is, by REST and by SQL |
//! | `pull` | passes and pages |
//! | `read` | what an answer means, live or recorded |
//! | `sink`, `write` | orders towards LOGO; what an answer to a write means |
//! | [`sql`] | every SQL text that is sent, and the way back |
//! | [`sandbox`] | the simulated LOGO |
//!
//! Invariants: nothing here writes to LOGO by SQL; codes are never folded, trimmed or changed; the token and the
//! credentials are in no error and no log.

mod client;
pub mod faults;
mod pull;
mod read;
pub mod sandbox;
pub mod settings;
mod sink;
pub mod sql;
pub mod streams;
mod token;
pub mod wire;
mod write;

use std::sync::Arc;

use chrono_tz::Europe::Istanbul;
use kopru_sdk::{
    BadSettings, Connector, Ctx, Descriptor, Fault, Operation, Page, PullRequest, Reading, Recorded, Settings, Sink,
    Source, StreamSpec, TakesOff, async_trait, settings::BadSetting,
};
use serde_json::{Value, json};

use self::{
    client::LogoClient,
    settings::{LogoSettings, SqlCall},
    sql::StockColumn,
    streams::Stream,
};

pub const DESCRIPTOR: Descriptor =
    Descriptor { kind: "logo", streams: &Stream::NAMES, build, offline, sandbox: sandbox::build };

fn build(settings: &Settings) -> Result<Arc<dyn Connector>, BadSettings> {
    let settings = LogoSettings::read(settings)?;
    let client = LogoClient::new(settings)
        .map_err(|problem| BadSettings(vec![BadSetting { key: "tls".to_owned(), problem }]))?;
    Ok(Arc::new(Logo { client }))
}

fn offline() -> Value {
    json!({ "base_url": "http://logo.invalid", "client_id": "-", "client_secret": "-", "username": "-", "password": "-",
        "firm": 1 })
}

struct Logo {
    client: LogoClient,
}

#[async_trait]
impl Connector for Logo {
    /// One user takes one licence seat, and its calls are served one after the other.
    fn exclusive(&self) -> bool {
        true
    }

    /// Signs in, and sees that the period covers today: in a new year every query would be answered with nothing.
    async fn check(&self, cx: &Ctx) -> Result<(), Fault> {
        self.client.sign_in().await?;
        let settings = &self.client.settings;
        if settings.sql_call != SqlCall::Off {
            let today = cx.now.with_timezone(&Istanbul).date_naive();
            return self.client.period(today, true).await.map(drop);
        }
        let active = self.client.active_period().await?;
        match settings.period {
            Some(period) if period != active => Err(Fault::contract(format!(
                "the active period of firm {} is {active} in LOGO, and `period` says {period}",
                settings.firm
            ))),
            _ => Ok(()),
        }
    }

    fn source(&self) -> Option<&dyn Source> {
        Some(self)
    }

    /// The formula says it: what open orders hold is in it, or what is reserved for them, or only what has left the warehouse.
    fn takes_off(&self) -> TakesOff {
        let formula = &self.client.settings.stock_formula;
        let has_off = |column| formula.terms().any(|term| term == (false, column));
        match (has_off(StockColumn::SalesOrders), has_off(StockColumn::Reserved)) {
            (true, _) => TakesOff::OnTaking,
            (false, true) => TakesOff::OnReserving,
            (false, false) => TakesOff::OnShipping,
        }
    }

    fn sink(&self) -> Option<&dyn Sink> {
        Some(self)
    }

    fn operations(&self) -> Vec<Operation> {
        read::operations(&self.client.settings)
    }

    fn read(&self, cx: &Ctx, recorded: &Recorded) -> Result<Reading, Fault> {
        read::recorded(&self.client.settings, cx.now.with_timezone(&Istanbul).date_naive(), recorded)
    }

    async fn close(&self, _cx: &Ctx) {
        if let Err(fault) = self.client.sign_out().await {
            tracing::info!(reason = %fault, "LOGO was not told that its token is no longer needed");
        }
    }
}

#[async_trait]
impl Source for Logo {
    fn streams(&self) -> Vec<StreamSpec> {
        let settings = &self.client.settings;
        Stream::offered(settings).map(|stream| stream.spec(settings)).collect()
    }

    async fn pull(&self, cx: &Ctx, request: PullRequest<'_>) -> Result<Page, Fault> {
        pull::pull(&self.client, cx, &request).await
    }
}

//! What LOGO is told: sales orders, return slips, that they are cancelled, and customers that it does not have.
//!
//! | module | subject |
//! | --- | --- |
//! | [`made`] | sales orders and return slips: made, looked for, cancelled |
//! | [`cards`] | customer cards: found by tax number, or made |
//! | [`files`], [`xml`] | orders as exchange files instead |
//! | [`slip`] | the body that is sent: our reference, parameters, the lengths of LOGO's fields |
//! | [`compare`] | whether a slip is the one that was sent |

mod cards;
mod compare;
mod files;
mod made;
mod slip;
mod xml;

use std::{path::Path, time::Duration};

use chrono_tz::Europe::Istanbul;
use kopru_sdk::{Connector as _, Ctx, Fault, Outgoing, Outlet, Refusal, Sent, Sink, What, async_trait};
use serde_json::Value;

use self::made::Kind;
use crate::{Logo, faults::OUTSIDE};

/// Documents in hand for each write that may be under way: what belongs to one is done while another one is written.
const AHEAD: usize = 16;

impl Logo {
    /// Where orders go as files, when they do.
    fn folder(&self) -> Option<&Path> {
        self.client.settings.orders.export_dir.as_deref()
    }
}

#[async_trait]
impl Sink for Logo {
    fn outlets(&self) -> Vec<Outlet> {
        if self.folder().is_some() {
            // A file can make an order. It cannot be asked for a card, nobody answers that it was cancelled, and what the file
            // of a return slip looks like is not known.
            return vec![Outlet { what: What::Orders, mapping: Some("logo/sales_orders"), idempotent: false }];
        }
        vec![
            Outlet { what: What::Orders, mapping: Some("logo/sales_orders"), idempotent: false },
            Outlet { what: What::Cancellations, mapping: None, idempotent: true },
            Outlet { what: What::Customers, mapping: Some("logo/customer_cards"), idempotent: false },
            Outlet { what: What::Returns, mapping: Some("logo/return_slips"), idempotent: false },
            Outlet { what: What::ReturnCancellations, mapping: None, idempotent: true },
        ]
    }

    fn places(&self) -> usize {
        AHEAD * usize::from(self.client.settings.orders.write_concurrency)
    }

    /// The last of those in hand waits for all others.
    fn timeout(&self) -> Duration {
        let timeouts = self.client.settings.policy.timeouts;
        (timeouts.write + timeouts.read * 3) * AHEAD as u32
    }

    /// Nobody is at a file that was not renamed.
    fn settle(&self) -> Duration {
        self.folder().map_or(self.client.settings.orders.settle, |_| Duration::ZERO)
    }

    async fn find(&self, _cx: &Ctx, outgoing: &Outgoing<'_>) -> Result<Sent, Fault> {
        let settings = &self.client.settings.orders;
        match outgoing.what {
            What::Orders => match self.folder() {
                Some(dir) => files::find(dir, outgoing).await,
                None => made::find(&self.client, Kind::order(settings), outgoing).await,
            },
            What::Returns => made::find(&self.client, Kind::return_slip(settings), outgoing).await,
            What::Customers => cards::find(&self.client, outgoing).await,
            What::Cancellations | What::ReturnCancellations => Err(unknown(outgoing.what)),
        }
    }

    async fn send(&self, cx: &Ctx, outgoing: &Outgoing<'_>) -> Result<Sent, Fault> {
        let settings = &self.client.settings.orders;
        let sent = match outgoing.what {
            What::Orders => match self.folder() {
                Some(dir) => files::create(dir, settings, outgoing).await,
                None => made::create(&self.client, Kind::order(settings), outgoing).await,
            },
            What::Cancellations => made::cancel(&self.client, Kind::order(settings), outgoing).await,
            What::Returns => made::create(&self.client, Kind::return_slip(settings), outgoing).await,
            What::ReturnCancellations => made::cancel(&self.client, Kind::return_slip(settings), outgoing).await,
            What::Customers => cards::create(&self.client, outgoing).await,
        };
        match sent {
            // Only this one, when the books are open for what is of today: it was confirmed in a period that is over.
            Err(Fault::Contract { detail })
                if detail.ends_with(OUTSIDE) && is_of_another_day(cx, outgoing.document) =>
            {
                self.check(cx).await?;
                Err(Fault::Permanent(Refusal {
                    reason: "outside_the_period".to_owned(),
                    field: Some("DATE".to_owned()),
                    value: outgoing.document["DATE"].as_str().map(str::to_owned),
                    detail: format!("{detail}; the books are open today: replay it with another date"),
                }))
            }
            sent => sent,
        }
    }
}

/// A document of today that is refused says that nothing is open.
fn is_of_another_day(cx: &Ctx, document: &Value) -> bool {
    let today = cx.now.with_timezone(&Istanbul).format("%Y-%m-%d").to_string();
    document["DATE"].as_str().is_some_and(|date| !date.starts_with(&today))
}

fn unknown(what: What) -> Fault {
    Fault::contract(format!("nothing is looked for of {}", what.as_str()))
}

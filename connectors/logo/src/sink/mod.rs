//! What LOGO is told: sales orders, that they are cancelled, and customers that it does not have.
//!
//! | module | subject |
//! | --- | --- |
//! | [`orders`] | made, looked for, cancelled |
//! | [`cards`] | customer cards: found by tax number, or made |
//! | [`slip`] | the body that is sent: our reference, parameters, the lengths of LOGO's fields |
//! | [`compare`] | whether a slip is the one that was sent |

mod cards;
mod compare;
mod orders;
mod slip;

use std::time::Duration;

use kopru_sdk::{Ctx, Fault, Outgoing, Outlet, Sent, Sink, What, async_trait};

use crate::Logo;

/// Documents in hand for each write that may be under way: what belongs to one is done while another one is written.
const AHEAD: usize = 8;

#[async_trait]
impl Sink for Logo {
    fn outlets(&self) -> Vec<Outlet> {
        vec![
            Outlet { what: What::Orders, mapping: Some("logo/sales_orders"), idempotent: false },
            Outlet { what: What::Cancellations, mapping: None, idempotent: true },
            Outlet { what: What::Customers, mapping: Some("logo/customer_cards"), idempotent: false },
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

    fn settle(&self) -> Duration {
        self.client.settings.orders.settle
    }

    async fn find(&self, _cx: &Ctx, outgoing: &Outgoing<'_>) -> Result<Sent, Fault> {
        match outgoing.what {
            What::Orders => orders::find(&self.client, outgoing).await,
            What::Customers => cards::find(&self.client, outgoing).await,
            What::Cancellations => Err(unknown(outgoing.what)),
        }
    }

    async fn send(&self, _cx: &Ctx, outgoing: &Outgoing<'_>) -> Result<Sent, Fault> {
        match outgoing.what {
            What::Orders => orders::create(&self.client, outgoing).await,
            What::Cancellations => orders::cancel(&self.client, outgoing).await,
            What::Customers => cards::create(&self.client, outgoing).await,
        }
    }
}

fn unknown(what: What) -> Fault {
    Fault::contract(format!("nothing is looked for of {}", what.as_str()))
}

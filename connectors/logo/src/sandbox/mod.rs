//! The simulated LOGO: the Logo Objects REST service in front of a generated firm.
//!
//! It speaks the wire of `api/v1` (token, lists, records, orders, SQL texts, methods) and shows the habits that
//! connectors stumble over: short-lived tokens, pages cut to 25, links with an inner host, echoes without the true
//! number, one write at a time, SQL that may be forbidden. Faults of the network are the harness's
//! ([`kopru_sdk::sandbox`]); refusals that Logo Objects words itself (`LoginError`, −93 …) can be had by a `status`
//! fault with such a body.
//!
//! | module | subject |
//! | --- | --- |
//! | `system`, `answer`, `token`, `switches` | the service, its answers, sessions and the site's habits |
//! | [`world`] | the generated firm |
//! | `table`, `cards`, `stock`, `store` | what was written over it |
//! | `queries`, `units` | the connector's SQL texts |
//! | `documents`, `document_rows`, `history` | what becomes of orders: goods leave, invoices, accounts |
//! | `lists`, `filter`, `records`, `json` | reading over REST |
//! | `writes`, `fields`, `orders`, `returns`, `totals` | writing over REST |
//! | `changes`, `expected` | the control surface: edits by the firm's own people, and what a hub should end with |
//!
//! Invariants
//! - The same seed, size and writes give the same bytes. Only tokens and new change stamps depend on the clock.
//! - A card shows the same values by SQL and by REST.
//! - A price row's role follows from GRPCODE: `LISTE` is the list price, `BAYI` the dealer price, `OZEL` is for the
//!   customer or pattern in ARP_CODE (see [`world::prices`]).

mod answer;
mod cards;
mod changes;
mod document_rows;
mod documents;
mod expected;
mod fields;
mod filter;
mod history;
mod json;
mod lists;
mod orders;
mod queries;
mod records;
mod returns;
mod stamp;
mod stock;
mod store;
mod switches;
mod system;
mod table;
mod token;
mod totals;
mod units;
pub mod world;
mod writes;

use std::sync::Arc;

use kopru_sdk::{
    BadSettings,
    sandbox::{SandboxOptions, SandboxSystem},
};

pub use self::system::LogoSandbox;

/// What a sandbox accepts unless its switches say otherwise. Not secrets: they open nothing but a simulation.
pub const CLIENT_ID: &str = "KOPRU_DEMO";
pub const CLIENT_SECRET: &str = "kopru-demo-istemcisi";
pub const USERNAME: &str = "KOPRU";
/// Needs percent-encoding, as real ones do.
pub const PASSWORD: &str = "p@rola+ş&1";
pub const FIRM: u16 = 7;
pub const PERIOD: u16 = 1;

/// The simulated system, to be mounted under `/logo`.
pub fn build(options: &SandboxOptions) -> Result<Arc<dyn SandboxSystem>, BadSettings> {
    Ok(Arc::new(LogoSandbox::build(options)?))
}

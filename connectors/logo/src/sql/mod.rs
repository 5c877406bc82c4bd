//! Every SQL text that the connector ever sends, and the way back from a text to its parameters.
//!
//! Invariants
//! - The texts stand in `connectors/logo/sql/`; nothing else is sent through `queries`.
//! - Columns carry the names of the data objects (`CODE`, `GROUP_CODE` …), so that one mapping reads the rows of both
//!   ways in; the change stamp is `STAMP`, ISO text in the server's local time.
//! - [`recognise`] is the exact inverse of [`render`]: the sandbox answers those texts and no others.
//! - Parameters are numbers, stamps and closed vocabularies. No text of a user or of LOGO is ever put into SQL.

mod items;
mod query;
mod stock;
mod template;
#[cfg(test)]
mod tests;

pub use items::WhichItems;
pub use query::{After, Children, Query, STAMP, Since, recognise, render};
pub use stock::{StockColumn, StockFormula, StockPage, StockTable, Warehouses};

//! The commerce database: catalogue, prices, stock, customers; orders, invoices, accounts, returns.
//!
//! One set-based upsert per entity is the only way in, whoever calls: a poller, a push, a form. Each takes an open
//! transaction and a page of rows, and answers in their order what became of each: created, updated, unchanged, or
//! refused with field, rule and value. A refused row leaves the others alone.
//!
//! Invariants
//! - Nothing here commits, and nothing here knows that there is a hub.
//! - Rows come unique by id; ids of new records come from `allocate_ids`; references are internal ids.
//! - What data can break is checked before the statement that it would break. What the database still refuses is an
//!   error of the whole page: [`CommandError::retry_at_once`] when another transaction got in between, otherwise
//!   [`CommandError::violation`] says which rule, and the caller finds the row by halving.
//! - An unchanged row is not written: same `revision`, same `updated_at`, no event.
//! - `revision` rises by one with each change, under the row's lock; the event bears it.
//! - Tables are touched in this order, rows of a table by rising id: category, brand, unit_set, warehouse, price_list,
//!   customer, product and its parts, price, stock, order, invoice, ledger entry. A page has one entity, so two pages of an
//!   entity cannot wait for each other in a circle. (A changed code or SKU may meet the foreign keys of another entity's
//!   page: a deadlock that is tried again at once.)
//! - Fields have owners ([`ownership`]): a source does not overwrite what became the hub's.

pub mod account;
pub mod brands;
pub mod carts;
pub mod catalogue;
pub mod categories;
mod check;
mod claims;
mod code_lists;
pub mod customers;
pub mod editing;
mod error;
pub mod invoices;
pub mod lookup;
pub mod orders;
mod outcome;
pub mod ownership;
mod patch;
pub mod price_lists;
pub mod prices;
pub mod pricing;
pub mod products;
pub mod returns;
pub mod show;
mod snapshot;
pub mod stock;
pub mod unit_sets;
mod units;
pub mod upkeep;
pub mod warehouses;

pub use code_lists::CodeListUpsert;
pub use error::{CommandError, violation_of};
pub use outcome::{Outcome, Violation};
pub use patch::Patch;
pub use snapshot::snapshots;
pub use units::{UnitLine, unknown as unknown_units};

use crate::outbox::Provenance;

/// Whose words a command writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// A system of record: it writes its own fields, and the initial ones of a new record.
    Source,
    /// A person in the hub: all fields. Whether a field of a linked record may be edited at all, the caller decides by
    /// [`ownership`].
    Person,
}

#[derive(Debug, Clone, Copy)]
pub struct WriteContext<'a> {
    pub writer: Writer,
    pub by: Provenance<'a>,
    /// See [`WriteContext::trusting_keys`].
    trusts_keys: bool,
}

impl<'a> WriteContext<'a> {
    pub const fn source(by: Provenance<'a>) -> Self {
        WriteContext { writer: Writer::Source, by, trusts_keys: false }
    }

    pub const fn person(by: Provenance<'a>) -> Self {
        WriteContext { writer: Writer::Person, by, trusts_keys: false }
    }

    /// Takes codes and SKUs for free without a look at who has them. Where one is not, the store refuses the page
    /// ([`CommandError::is_taken_key`]); the caller undoes what was done of it, and asks again without trust.
    pub const fn trusting_keys(self) -> Self {
        WriteContext { trusts_keys: true, ..self }
    }

    pub const fn trusts_keys(&self) -> bool {
        self.trusts_keys
    }
}

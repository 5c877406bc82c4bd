//! The current account of a customer: movements, balance, statement, and how much more it may owe.
//!
//! Invariants
//! - **Money once.** A movement of the ERP's counts as it is. One of ours is provisional, and counts until a row of the
//!   ERP bears its reference (a payment) or its document number (an invoice): then that row counts in its place. It does
//!   not matter which of the two was there first.
//! - A document that was cancelled over there comes twice, as an invoice and as a movement. Once one of the two says so it
//!   does not count, whatever the other one still says (the view `ledger_counted`, and `vain` in `risk.sql`).
//! - An ERP that begins a new book opens it with what was carried over. From then on the rows of that customer in its earlier
//!   books do not count any more, whether they are known or not; a customer without an opening had nothing to carry over.
//! - What is ordered and not yet invoiced is exposure. An invoice takes over from it once: when it is known as an
//!   invoice, by the invoiced quantities of the order's lines; before that, when only the ERP's movement is there, by the
//!   movement's amount.
//! - Risk is the sum of what counts and of the exposure. Who writes movements or judges risk locks the customer's row
//!   first, so that no two of them see half of each other.
//! - A debit falls due on its due date, without one at once. Credits pay the oldest debits: what is due and not covered by
//!   all credits together is overdue.
//! - Sums are per currency; nothing here converts.

mod csv;
mod entry;
mod periods;
mod post;
mod queries;
mod reads;
mod risk;
mod statement;
mod upsert;

pub use csv::statement_csv;
pub use entry::{EntryKind, LedgerUpsert};
pub(super) use periods::ordered as check_ends;
pub use periods::{BadPeriod, Period};
pub(crate) use post::withdraw;
pub use post::{PostError, Posting, post};
pub use queries::{allocate_ids, ids_by_external_id};
pub use reads::{Balance, BalanceLine, ListError, Movement, MovementFilter, balance, transactions};
pub use risk::{CurrencyRisk, Risk, Undecided, risk, risk_locked};
pub use statement::{Statement, StatementError, StatementLine, statement};
pub use upsert::upsert_ledger;

/// The book that rows of ours stand in.
pub const OWN_BOOK: &str = "kopru";

//! Invoices as the ERP wrote them; nobody writes one here.
//!
//! Invariants
//! - An invoice's lines say which lines of orders it is of; the invoiced quantity of an order's line is the sum over the
//!   invoices that were not cancelled, in the order line's unit; `order.updated` tells of its change.
//! - An invoice of an order of ours stands in the account provisionally until the ERP's own movement comes
//!   ([`crate::commerce::account`]): what it takes from the exposure is owed from that moment on.
//! - A line that names its order's line by the source's reference is bound to it when both are known, whichever comes first.
//! - `invoice.created` tells of each invoice once; changes of one are shown and not told.

mod bind;
mod cancel;
mod entry;
mod queries;
mod reads;
mod upsert;

pub(crate) use bind::bind;
pub use cancel::cancel_invoices;
pub use entry::{InvoiceKind, InvoiceLine, InvoicePayment, InvoiceStatus, InvoiceUpsert};
pub use queries::{allocate_ids, ids_by_external_id};
pub use reads::{Invoice, InvoiceFilter, InvoiceHead, InvoiceLineView, InvoicePaymentView, invoice, invoices};
pub use upsert::upsert_invoices;

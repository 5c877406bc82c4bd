//! What the simulated firm does with the demo's order, and whether it was heard of: goods leave, an invoice comes.

use kopru_sdk::outbound::{Call, Method, Outbound, Policy, Url};
use serde_json::json;

use super::{Check, checks};
use crate::{
    commerce::{
        invoices::{self, InvoiceFilter},
        orders::{self, OrderKey, State},
    },
    hub::engine::Engine,
    page::PageRequest,
    principal::Scope,
};

/// The names of the checks.
pub(super) const SHIPPED: &str = "order_shipped";
pub(super) const INVOICED: &str = "order_invoiced";

/// Has the order shipped and invoiced over there, and reads what became of it.
pub(super) async fn check(engine: &Engine, control: &str, order: Option<i64>) -> Result<[Check; 2], sqlx::Error> {
    let failed = |detail: &str| [SHIPPED, INVOICED].map(|name| told(name, false, detail.to_owned()));
    let Some(order) = order else { return Ok(failed("no order was sent")) };
    let mut db = engine.pool.acquire().await?;
    let found = orders::find(&mut db, Scope::house(), OrderKey::Id(order)).await?;
    let Some(number) = found.and_then(|order| order.summary.logo_number) else {
        return Ok(failed("the order has no number of LOGO"));
    };
    if let Err(error) = deal(control, &number).await {
        return Ok(failed(&error));
    }
    checks::read(engine, &["orders", "invoices", "ledger"]).await?;
    let found = orders::find(&mut db, Scope::house(), OrderKey::Id(order)).await?;
    let state = found.map_or_else(|| "gone".to_owned(), |order| order.summary.state);
    let Ok(page) = PageRequest::new(None, None) else { return Ok(failed("no page of invoices")) };
    let filter = InvoiceFilter { order: Some(order), ..InvoiceFilter::default() };
    let found = invoices::invoices(&mut db, Scope::house(), &filter, &page).await;
    let invoice = found.ok().and_then(|page| page.items.into_iter().next());
    Ok([
        told(SHIPPED, state == State::Shipped.as_str(), format!("the order is {state}")),
        match invoice {
            Some(invoice) => told(
                INVOICED,
                true,
                format!("{} over {} {}", invoice.number, invoice.total.normalize(), invoice.currency),
            ),
            None => told(INVOICED, false, "no invoice of the order came".to_owned()),
        },
    ])
}

fn told(name: &'static str, ok: bool, detail: String) -> Check {
    Check { name, ok: Some(ok), detail }
}

async fn deal(control: &str, number: &str) -> Result<(), String> {
    let base = Url::parse(control).map_err(|error| error.to_string())?;
    let client = Outbound::new(&base, Policy::default())?;
    let change = json!({ "system": "logo", "orders": [{ "order": number, "ship": true, "invoice": true }] });
    let call = Call::change(Method::POST, "/change").body(change.to_string());
    let answer = client.send(call).await.map_err(|fault| fault.to_string())?;
    if answer.status.is_success() { Ok(()) } else { Err(format!("the simulated firm answered {}", answer.status)) }
}

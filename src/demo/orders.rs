//! An order of the demo: placed by a dealer of ours, made in the simulated LOGO.

use rust_decimal::Decimal;

use super::{Check, accounts};
use crate::{
    app::{self, App},
    commerce::{
        catalogue::{Filter, Reader, Sort, Viewer},
        orders::{self, AskedLine, NewOrder, OrderContext, OrderKey, PaymentMethod},
    },
    hub::{
        deliveries::{router, targets, worker},
        engine::Engine,
    },
    outbox::Provenance,
    page::PageRequest,
    principal::{Principal, Role, Scope},
    transaction,
};

/// The name of the check.
pub(super) const CHECK: &str = "order_sent";

/// Places an order and has it sent.
/// Gives the order that was sent.
pub(super) async fn check(app: &App, engine: &Engine) -> Result<(Check, Option<i64>), sqlx::Error> {
    // LOGO is to be told what happens from here on.
    targets::register(engine).await?;
    let order = match place(app).await {
        Ok(order) => order,
        Err(why) => return Ok((told(false, why), None)),
    };
    while !matches!(router::turn(engine).await?, router::Routed::Elsewhere | router::Routed::Events(0)) {}
    while worker::turn(engine).await? > 0 {}
    let mut db = engine.pool.acquire().await?;
    let found = orders::find(&mut db, Scope::house(), OrderKey::Id(order)).await?;
    let summary = found.map(|order| order.summary);
    Ok(match summary.and_then(|order| Some((order.number, order.logo_number?))) {
        Some((number, there)) => (told(true, format!("{number} is {there} in LOGO")), Some(order)),
        None => (told(false, "the order has no number of LOGO; see kopru deliveries list".to_owned()), None),
    })
}

fn told(ok: bool, detail: String) -> Check {
    Check { name: CHECK, ok: Some(ok), detail }
}

/// An order of the demo's first company for the first goods that have a price in lira.
async fn place(app: &App) -> Result<i64, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let company = accounts::first_company(app).await.map_err(|error| told(&error))?;
    let now = app.clock.now();
    let reader = Reader::of_tables(app.database.pool.clone(), false);
    let viewer = Viewer {
        dealer: reader.dealer(Some(company)),
        day: now.with_timezone(&chrono_tz::Europe::Istanbul).date_naive(),
        sees_stock: true,
        sees_costs: false,
        sees_all: false,
    };
    let filter = Filter { in_stock: Some(true), ..Filter::default() };
    let page = PageRequest::new(Some(100), None).map_err(|error| told(&error))?;
    let listed = reader.list(&viewer, &filter, Sort::default(), &page).await.map_err(|error| told(&error))?;
    let listed = listed.map_err(|error| told(&error))?;
    let goods = listed.items.into_iter().find(|one| one.price.as_ref().is_some_and(|price| price.currency == "TRY"));
    let goods = goods.ok_or("nothing can be ordered: no product has a price and stock")?;
    let least = goods.minimum_order_quantity.unwrap_or(Decimal::ONE).max(Decimal::ONE);
    let quantity = goods.order_multiple.map_or(least, |multiple| (least / multiple).ceil() * multiple);
    let who = Principal::user(0, Role::SuperAdmin, None);
    let rules = orders::OrderRules { approve_first_orders: 0, ..app::order_rules(&app.config.orders) };
    let by = Provenance { origin: "demo", bulk: false, correlation_id: "demo", place: None, now };
    let cx = OrderContext { principal: &who, by, rules: &rules };
    let new = NewOrder {
        customer: Some(company),
        lines: Some(vec![AskedLine { product: Some(goods.id), sku: None, quantity, unit: goods.unit }]),
        payment_method: PaymentMethod::Account,
        shipping_address: None,
        note: Some("Köprü demosunun siparişi".to_owned()),
    };
    let mut tx = transaction::begin(&app.database.pool).await.map_err(|error| told(&error))?;
    let order = orders::place(&mut tx, &cx, &new).await.map_err(|error| told(&error))?;
    tx.commit().await.map_err(|error| told(&error))?;
    Ok(order.summary.id)
}

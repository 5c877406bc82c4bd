//! The Integration API: what an ERP pushes.
//!
//! | module | subject |
//! | --- | --- |
//! | [`document`] | the body of a request: JSON of the right shape, or a refusal with its place |
//! | [`push`] | one item or many through the intake, and the answers |
//! | [`record`] | one record shown or deactivated |
//! | [`routes`] | the four routes that every entity has |
//! | [`products`], [`categories`], [`brands`], [`customers`], [`prices`], [`stock`], [`invoices`] | what each entity's items are |
//!
//! Invariants
//! - A document is read by its mapping and applied by the hub's intake, the way of every other source. What is described
//!   here only describes.
//! - Nothing waits: what cannot go in is told at once, and of a bulk it is kept as a dead letter as well.
//! - An answer stands in the transaction of its effect.

mod brands;
mod categories;
mod customers;
mod document;
mod invoices;
mod prices;
mod products;
mod push;
mod record;
mod routes;
mod stock;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;

use crate::{canonical::Entity, hub::engine::Engine};

/// An entity as it is pushed.
#[derive(Debug, Clone, Copy)]
struct Pushed {
    entity: Entity,
    mapping: &'static str,
    stream: &'static str,
    /// Under which key a bulk has its items.
    list: &'static str,
}

pub(super) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Engine: FromRef<S>,
{
    OpenApiRouter::new()
        .merge(products::routes())
        .merge(categories::routes())
        .merge(brands::routes())
        .merge(customers::routes())
        .merge(prices::routes())
        .merge(stock::routes())
        .merge(invoices::routes())
}

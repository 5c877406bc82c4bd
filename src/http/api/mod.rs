//! The commerce API under `/api/v1`: what a dealer's portal and the back office call.
//!
//! | module | subject |
//! | --- | --- |
//! | [`auth`] | signing in, staying signed in, signing out |
//! | [`links`] | forgotten passwords, and where the links of mails lead |
//! | [`me`], [`sessions`] | who is signed in, where, and their password |
//! | [`register`], [`registrations`] | companies that want to become dealers |
//! | [`users`] | looking after people |
//! | [`products`], [`categories`] | the catalogue |
//! | [`cart`], [`orders`] | what a dealer means to buy, and what was ordered |
//! | [`account`], [`invoices`], [`returns`] | what a dealer owes, what it was invoiced, what it sends back |
//! | [`customers`] | dealer companies |
//! | [`event_types`] | what webhooks tell |
//! | [`admin`] | the hub itself, under `/api/admin` |
//! | [`sent`], [`listed`], [`asked`], [`tagged`] | bodies, pages of lists, queries, answers with a tag |
//! | [`acting`], [`ordering`] | who changes something and how; what is done to orders and carts |
//!
//! Invariants
//! - A route begins with [`SignedIn`](super::signed_in::SignedIn) and asks it for the permission; routes of [`auth`] are for those
//!   who are not signed in.
//! - What exists and is not the caller's is 404; what the caller's role may not do is 403.
//! - No answer is stored by anybody but the caller's own browser, and one that holds a secret by nobody.

mod account;
mod acting;
mod admin;
mod asked;
mod auth;
mod cart;
mod categories;
mod customers;
mod event_types;
mod invoices;
mod links;
mod listed;
mod me;
mod ordering;
mod orders;
mod products;
mod register;
mod registrations;
mod returns;
mod sent;
mod sessions;
mod tagged;
mod users;

pub(super) use products::{Answers, forms};

use axum::http::{HeaderValue, header};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;

use super::router::PublicState;

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    let private = HeaderValue::from_static("private, no-cache");
    OpenApiRouter::new()
        .merge(auth::routes())
        .merge(links::routes())
        .merge(me::routes())
        .merge(sessions::routes())
        .merge(register::routes())
        .merge(registrations::routes())
        .merge(users::routes())
        .merge(products::routes())
        .merge(categories::routes())
        .merge(account::routes())
        .merge(invoices::routes())
        .merge(returns::routes())
        .merge(customers::routes())
        .merge(cart::routes())
        .merge(orders::routes())
        .merge(event_types::routes())
        .merge(admin::routes())
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, private))
}

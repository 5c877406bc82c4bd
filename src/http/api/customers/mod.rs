//! `/api/v1/customers`: dealer companies, looked after by the house. A dealer reads its own.

mod change;
mod read;
mod shapes;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::router::PublicState;

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new()
        .routes(routes!(read::list, change::enter))
        .routes(routes!(read::show, change::edit))
        .routes(routes!(change::approve))
        .routes(routes!(change::activate))
        .routes(routes!(change::deactivate))
        .routes(routes!(change::assign_price_lists))
}

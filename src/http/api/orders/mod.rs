//! `/api/v1/orders`.

mod change;
mod read;
mod shapes;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::router::PublicState;

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new()
        .routes(routes!(read::list, change::place))
        .routes(routes!(read::show))
        .routes(routes!(read::show_by_number))
        .routes(routes!(read::history))
        .routes(routes!(change::cancel))
        .routes(routes!(change::approve))
        .routes(routes!(change::reject))
}

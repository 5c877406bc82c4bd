//! The admin API under `/api/admin`: the hub, for people who run it.
//!
//! | module | subject |
//! | --- | --- |
//! | [`webhook_endpoints`] | addresses that are told of events |

mod webhook_endpoints;

use utoipa_axum::router::OpenApiRouter;

use crate::http::router::PublicState;

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().merge(webhook_endpoints::routes())
}

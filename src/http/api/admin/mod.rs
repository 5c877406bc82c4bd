//! The admin API under `/api/admin`: the hub, for people who run it.
//!
//! | module | subject |
//! | --- | --- |
//! | [`deliveries`] | what is told to others |
//! | [`reconciliation`] | both sides compared |
//! | [`timeline`] | what touched an object, across systems |
//! | [`webhook_endpoints`] | addresses that are told of events |
//! | [`doer`] | who changes something |

mod deliveries;
mod doer;
mod reconciliation;
mod timeline;
mod webhook_endpoints;

use utoipa_axum::router::OpenApiRouter;

use crate::http::router::PublicState;

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new()
        .merge(deliveries::routes())
        .merge(reconciliation::routes())
        .merge(timeline::routes())
        .merge(webhook_endpoints::routes())
}

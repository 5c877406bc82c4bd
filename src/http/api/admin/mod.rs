//! The admin API under `/api/admin`: the hub, for people who run it.
//!
//! | module | subject |
//! | --- | --- |
//! | [`messages`], [`runs`] | what came in, and the passes over streams |
//! | [`streams`], [`connectors`], [`mappings`] | the systems, what is polled of them, by which rules |
//! | [`dead_letters`], [`replays`] | what could not go in, and mending many of them |
//! | [`deliveries`] | what is told to others |
//! | [`reconciliation`] | both sides compared |
//! | [`webhook_endpoints`] | addresses that are told of events |
//! | [`timeline`] | what touched an object, across systems |
//! | [`api_keys`], [`users`], [`audit`], [`settings`] | who may do what, who did what, how it is set up |
//! | [`letter_filter`] | which dead letters are meant |

mod api_keys;
mod audit;
mod connectors;
mod dead_letters;
mod deliveries;
mod letter_filter;
mod mappings;
mod messages;
mod reconciliation;
mod replays;
mod runs;
mod settings;
mod streams;
mod timeline;
mod users;
mod webhook_endpoints;

use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use crate::http::{problem::Problem, router::PublicState};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new()
        .merge(messages::routes())
        .merge(runs::routes())
        .merge(streams::routes())
        .merge(connectors::routes())
        .merge(mappings::routes())
        .merge(dead_letters::routes())
        .merge(replays::routes())
        .merge(deliveries::routes())
        .merge(reconciliation::routes())
        .merge(timeline::routes())
        .merge(webhook_endpoints::routes())
        .merge(api_keys::routes())
        .merge(users::routes())
        .merge(audit::routes())
        .merge(settings::routes())
}

/// The id of a path. One that cannot be an id is nobody's.
fn uuid_of(text: &str, what: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| none_of(what))
}

fn none_of(what: &str) -> Problem {
    Problem::not_found(format!("there is no such {what}; its history may have been trimmed"))
}

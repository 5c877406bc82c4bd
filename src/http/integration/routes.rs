//! The four routes that every entity has: one item, many, one record shown, one record deactivated.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};

use super::push::{Sender, unsuccessful};
use crate::{
    http::{caller::Caller, idempotency::Idempotent, problem::Problem, visitor::Visitor},
    hub::engine::Engine,
};

impl<S> FromRequestParts<S> for Sender
where
    S: Send + Sync,
    Engine: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Sender, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let request = Idempotent::from_request_parts(parts, state).await?;
        let Visitor(visit) = Visitor::from_request_parts(parts, state).await?;
        let reading = match parts.headers.get(READING) {
            None => None,
            Some(number) => {
                Some(number.to_str().ok().and_then(|text| text.trim().parse().ok()).ok_or_else(unreadable)?)
            }
        };
        Ok(Sender { engine: Engine::from_ref(state), caller, request, visit, reading })
    }
}

/// Which reading of its stock a system pushes levels of.
const READING: &str = "Stock-Reading";

fn unreadable() -> Problem {
    unsuccessful(Problem::bad_request(format!("the header {READING} is the number of a reading that was begun")))
}

/// The handlers of an entity, described, and `routes()` over them and those in `also`.
macro_rules! entity_routes {
    (
        $pushed:expr, tag = $tag:tt, one = $one:tt, bulk = $bulk:tt, record = $record:tt, item = $Item:ident,
        items = $Items:ident, names = [$create:tt, $create_many:tt, $show:tt, $remove:tt], also = [$($also:ident),*]
    ) => {
        pub(super) fn routes<S>() -> utoipa_axum::router::OpenApiRouter<S>
        where
            S: Clone + Send + Sync + 'static,
            crate::hub::engine::Engine: axum::extract::FromRef<S>,
        {
            utoipa_axum::router::OpenApiRouter::new()
                .routes(utoipa_axum::routes!(create))
                .routes(utoipa_axum::routes!(create_many))
                .routes(utoipa_axum::routes!(show, remove))
                $(.routes(utoipa_axum::routes!($also)))*
        }

        /// One item: created, changed, or left as it is when nothing changed.
        #[utoipa::path(
            post,
            path = $one,
            tag = $tag,
            operation_id = $create,
            security(("apiKey" = [])),
            params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
            request_body = $Item,
            responses(
                (status = 200, description = "It went in", body = crate::http::integration::push::PushedOne),
                (
                    status = 400,
                    description = "It did not go in; the problem also has `success: false` and `error`",
                    body = crate::http::openapi::ProblemDocument,
                    content_type = "application/problem+json"
                ),
                crate::http::openapi::Refused
            )
        )]
        async fn create(
            sender: crate::http::integration::push::Sender,
            document: crate::http::integration::document::Document,
        ) -> Result<axum::response::Response, crate::http::problem::Problem> {
            crate::http::integration::push::one(sender, $pushed, document).await
        }

        /// 1 to 1,000 items. What fails is told, and kept as a dead letter until it is mended or comes again.
        #[utoipa::path(
            post,
            path = $bulk,
            tag = $tag,
            operation_id = $create_many,
            security(("apiKey" = [])),
            params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
            request_body = $Items,
            responses(
                (status = 200, description = "What became of each item", body = crate::http::integration::push::PushedMany),
                (
                    status = 400,
                    description = "No list of 1 to 1,000 items",
                    body = crate::http::openapi::ProblemDocument,
                    content_type = "application/problem+json"
                ),
                crate::http::openapi::Refused
            )
        )]
        async fn create_many(
            sender: crate::http::integration::push::Sender,
            document: crate::http::integration::document::Document,
        ) -> Result<axum::response::Response, crate::http::problem::Problem> {
            crate::http::integration::push::many(sender, $pushed, document).await
        }

        /// The record that the key's instance knows by this code, which stands percent-encoded in the path.
        #[utoipa::path(
            get,
            path = $record,
            tag = $tag,
            operation_id = $show,
            security(("apiKey" = [])),
            params(
                ("externalCode" = String, Path, description = "As it was pushed; percent-encoded"),
                ("If-None-Match" = Option<String>, Header, description = "The ETag of an earlier answer")
            ),
            responses(
                (status = 200, description = "The record, with its ETag", body = crate::http::integration::record::Record),
                (status = 304, description = "It is as it was"),
                (
                    status = 404,
                    description = "The instance has none with this code",
                    body = crate::http::openapi::ProblemDocument,
                    content_type = "application/problem+json"
                ),
                crate::http::openapi::Refused
            )
        )]
        async fn show(
            axum::extract::State(engine): axum::extract::State<crate::hub::engine::Engine>,
            caller: crate::http::caller::Caller,
            axum::extract::Path(code): axum::extract::Path<String>,
            headers: axum::http::HeaderMap,
        ) -> Result<axum::response::Response, crate::http::problem::Problem> {
            let known = headers.get(axum::http::header::IF_NONE_MATCH);
            crate::http::integration::record::show_one(&engine, &caller, $pushed, &code, known).await
        }

        /// Deactivates it (a stock level goes to 0). It keeps its history, and its next push brings it back.
        #[utoipa::path(
            delete,
            path = $record,
            tag = $tag,
            operation_id = $remove,
            security(("apiKey" = [])),
            params(
                ("externalCode" = String, Path, description = "As it was pushed; percent-encoded"),
                ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
            ),
            responses(
                (status = 200, description = "It is inactive", body = crate::http::integration::push::PushedOne),
                (
                    status = 404,
                    description = "The instance has none with this code",
                    body = crate::http::openapi::ProblemDocument,
                    content_type = "application/problem+json"
                ),
                crate::http::openapi::Refused
            )
        )]
        async fn remove(
            sender: crate::http::integration::push::Sender,
            axum::extract::Path(code): axum::extract::Path<String>,
        ) -> Result<axum::response::Response, crate::http::problem::Problem> {
            crate::http::integration::record::remove(sender, $pushed, code).await
        }
    };
}

pub(super) use entity_routes;

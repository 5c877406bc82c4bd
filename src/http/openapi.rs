//! The description of the API, generated from the routes: `/openapi.json`, browsable at `/docs`.
//!
//! A route is in the description because it is registered in an [`OpenApiRouter`] ([`super::router::documented`]); there is
//! no other list.

use axum::{
    Router,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use serde::Serialize;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{codes, examples, problem::FieldError, shared_answers};

/// The page loads its own files and nothing from elsewhere. Its styles are set on elements, therefore inline.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What every part of the description shares.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Köprü",
        description = "The integration hub's API. JSON in camelCase; ids are integers; money is a JSON number written \
                       exactly; times are RFC 3339 in UTC. Errors are problem documents (RFC 9457). Every answer carries \
                       `X-Correlation-ID`, taken over when sent, and `RateLimit-Limit`, `RateLimit-Remaining` and \
                       `RateLimit-Reset` (except `/health/*`). Lists take `limit` and `cursor` and answer `items` and \
                       `nextCursor`. `x-error-codes` of an operation are the values of `code` in its problem documents. Requests that change something take `Idempotency-Key`: a twin within 24 hours gets \
                       the first one's answer, marked `Idempotency-Replayed: true`. Bodies may be sent with \
                       `Content-Encoding: gzip`; their limit holds for what they unpack to.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "account", description = "What a dealer owes and was invoiced"),
        (name = "admin", description = "The hub itself, for people who run it"),
        (name = "auth", description = "Signing in, and who is signed in"),
        (name = "catalogue", description = "Products at the caller's prices, categories, brands"),
        (name = "cart", description = "What a dealer's user means to buy"),
        (name = "customers", description = "Dealer companies"),
        (name = "users", description = "Looking after people, and companies that register"),
        (name = "integration", description = "What an ERP pushes, with an API key"),
        (name = "operations", description = "Health and metrics"),
        (name = "orders", description = "Orders of dealers"),
        (name = "returns", description = "What dealers send back"),
        (name = "webhooks", description = "What webhooks tell")
    ),
    components(schemas(ProblemDocument, FieldError)),
    modifiers(&KeyScheme)
)]
pub(super) struct Base;

struct KeyScheme;

impl Modify for KeyScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let text = "`kopru api-key create` makes one";
        let scheme = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("X-API-Key", text)));
        let text = "`POST /api/v1/auth/login` gives one";
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(text));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("apiKey", scheme);
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
    }
}

/// A problem document (RFC 9457). Some problems have further members.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(super) struct ProblemDocument {
    /// `urn:kopru:problem:<code>`
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    /// What is wrong and how to mend it, for a person.
    detail: String,
    /// The path that was asked.
    instance: Option<String>,
    /// The kind of problem, for programs; it never changes.
    code: String,
    errors: Vec<FieldError>,
    correlation_id: Option<String>,
}

/// What the gate answers instead of a route.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the variants describe; problems are what is answered")]
pub(super) enum Refused {
    /// No API key, or one that is unknown, revoked or expired
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemDocument),
    /// The API key lacks the scope, or may not be used from this address
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemDocument),
    /// Too many requests; `Retry-After` says when to come back
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(ProblemDocument),
}

/// What is answered to somebody who may not pass.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the variants describe; problems are what is answered")]
pub(super) enum Denied {
    /// No access token, or one that is foreign, expired, or of a session that has ended
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemDocument),
    /// The caller's role may not do this
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemDocument),
    /// Too many requests; `Retry-After` says when to come back
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(ProblemDocument),
}

/// The same for routes that anybody may call.
#[derive(IntoResponses)]
#[response(
    status = 429,
    content_type = "application/problem+json",
    description = "Too many requests; `Retry-After` says when to come back"
)]
#[expect(dead_code, reason = "it describes; problems are what is answered")]
pub(super) struct TooManyRequests(ProblemDocument);

/// The whole description.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = super::router::documented().into_openapi();
    shared_answers::describe(&mut document);
    codes::describe(&mut document);
    examples::describe(&mut document);
    document
}

/// The description and the pages that show it.
pub(super) fn routes() -> Router {
    let json = Bytes::from(document().to_json().unwrap_or_default());
    let show = async move || -> Response { ([(header::CONTENT_TYPE, "application/json")], json).into_response() };
    let pages = Router::from(SwaggerUi::new("/docs").config(Config::from("/openapi.json"))).layer(
        SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY)),
    );
    Router::new().route("/openapi.json", get(show)).merge(pages)
}

//! `/api/admin/api-keys`: keys of machines that call the hub.

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, Uri},
    response::Response,
};
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    acting::{Acting, Deed},
    asked,
    auth::secret,
    listed::{Listed, PageQuery},
    sent::Sent,
};
use crate::{
    http::{
        idempotency::{Answer, Idempotent, Stop},
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    identity::api_keys::{self, ApiKey, KeyError, NewKey, SCOPES},
    principal::Permission,
    transaction,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ApiKeyList {
    items: Vec<ApiKey>,
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct KeyQuery {
    /// Revoked ones as well
    #[param(value_type = Option<bool>)]
    revoked: Option<String>,
}

/// What a new key shall be.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewApiKey)]
struct KeyIn {
    /// For people.
    #[schema(min_length = 1, max_length = 100, example = "LOGO")]
    name: String,
    /// `integration:read`, `integration:write`, or permissions that you have yourself.
    #[schema(min_items = 1, example = json!(["integration:write"]))]
    scopes: Vec<String>,
    /// The configured system on whose behalf it speaks; the only one when it is left out.
    #[schema(example = "logo")]
    instance: Option<String>,
    /// Addresses or networks that may use it; none: all.
    #[schema(example = json!(["10.0.0.0/8"]))]
    allowed_networks: Option<Vec<String>>,
    #[schema(minimum = 1)]
    rate_per_minute: Option<u32>,
    /// Never when it is left out.
    expires_at: Option<DateTime<Utc>>,
}

/// A new key. Its text is told this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApiKeyCreated)]
struct KeyOut {
    #[serde(flatten)]
    about: ApiKey,
    /// To be sent as `X-API-Key`.
    #[schema(example = "kpr_a1b2c3d4_q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA")]
    key: String,
}

/// Keys, newest first; their secrets are nowhere.
#[utoipa::path(
    get,
    path = "/api/admin/api-keys",
    tag = "admin",
    operation_id = "listApiKeys",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.configure"))),
    params(KeyQuery, PageQuery),
    responses((status = 200, description = "A page of keys", body = ApiKeyList), Denied)
)]
async fn list(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
    uri: Uri,
) -> Result<Json<ApiKeyList>, Problem> {
    const LIST: &str = "api-keys";
    caller.require(Permission::HubConfigure)?;
    let revoked = asked::flag("revoked", &asked::query::<KeyQuery>(&uri)?.revoked)?.unwrap_or(false);
    let rows = api_keys::list(&state.pool, revoked, page.after(LIST)?, page.rows()).await?;
    let found = page.page(LIST, rows, |row| row.id);
    Ok(Json(ApiKeyList { items: found.items, next_cursor: found.next_cursor }))
}

/// Makes a key. It is shown in this answer and never again, so the answer is kept for no second request.
#[utoipa::path(
    post,
    path = "/api/admin/api-keys",
    tag = "admin",
    operation_id = "createApiKey",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.configure"))),
    request_body = KeyIn,
    responses((status = 201, description = "The key", body = KeyOut), Denied)
)]
async fn create(State(state): State<HttpState>, acting: Acting, sent: Sent<KeyIn>) -> Result<Response, Problem> {
    acting.require(Permission::HubConfigure)?;
    let given = sent.value;
    // Nobody gives rights that they do not have.
    for permission in given.scopes.iter().filter_map(|scope| Permission::parse(scope)) {
        acting.require(permission)?;
    }
    let configured: Vec<&String> = state.engine.instances.keys().collect();
    let instance = match (asked::text("instance", &given.instance, 100)?, configured.as_slice()) {
        (Some(instance), _) => instance.to_owned(),
        (None, [only]) => (*only).clone(),
        (None, _) => "logo".to_owned(),
    };
    let pushes = given.scopes.iter().any(|scope| SCOPES.contains(&scope.as_str()));
    if pushes && !state.engine.instances.contains_key(&instance) {
        let known = configured.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        let why = format!("a key that pushes speaks for a configured system; configured: {known}");
        return Err(asked::wrong("instance", "unknown_value", why));
    }
    let network = |text: &String| {
        let bare = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
        let read = text.parse::<IpNet>().ok().or_else(bare);
        read.ok_or_else(|| asked::wrong("allowedNetworks", "format", "name addresses or networks, as in 10.0.0.0/8"))
    };
    let new = NewKey {
        name: given.name,
        instance,
        scopes: given.scopes,
        allowed_networks: given.allowed_networks.unwrap_or_default().iter().map(network).collect::<Result<_, _>>()?,
        rate_per_minute: given.rate_per_minute,
        expires_at: given.expires_at,
    };
    let mut tx = transaction::begin(&state.pool).await?;
    let (about, key) = api_keys::create(&mut tx, acting.by_actor(), &new, acting.now()).await.map_err(problem)?;
    tx.commit().await?;
    Ok(secret(StatusCode::CREATED, Json(KeyOut { about, key: key.expose().to_owned() })))
}

/// Ends a key for good; every daemon refuses it within five seconds.
#[utoipa::path(
    delete,
    path = "/api/admin/api-keys/{prefix}",
    tag = "admin",
    operation_id = "revokeApiKey",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.configure"))),
    params(
        ("prefix" = String, Path, description = "The key's prefix"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 200, description = "It is not good any more", body = ApiKey),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It was revoked before", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn revoke(acting: Acting, request: Idempotent, Path(prefix): Path<String>) -> Result<Response, Problem> {
    acting.require(Permission::HubConfigure)?;
    if prefix.contains('\0') {
        return Err(Problem::not_found("there is no such API key"));
    }
    acting.perform(&request, b"", Revoke { prefix }).await
}

struct Revoke {
    prefix: String,
}

impl Deed for Revoke {
    async fn done(&self, conn: &mut PgConnection, acting: &Acting) -> Result<Answer, Stop> {
        let key = api_keys::revoke(conn, acting.by_actor(), &self.prefix).await.map_err(problem)?;
        Ok(Answer::json(StatusCode::OK, &key)?)
    }
}

fn problem(error: KeyError) -> Problem {
    let said = error.to_string();
    match error {
        KeyError::UnknownScope(_) => asked::wrong("scopes", "unknown_value", said),
        KeyError::NoScope => asked::wrong("scopes", "required", said),
        KeyError::Name => asked::wrong("name", "length", said),
        KeyError::Instance(_) => asked::wrong("instance", "format", said),
        KeyError::Rate => asked::wrong("ratePerMinute", "out_of_range", said),
        KeyError::Expired => asked::wrong("expiresAt", "out_of_range", said),
        KeyError::NotFound(_) => Problem::not_found("there is no such API key"),
        KeyError::AlreadyRevoked(_) => Problem::conflict(said),
        KeyError::Database(error) => error.into(),
    }
}

//! `/api/admin/mappings`: the rules in force, what a document would change by them, and codes that none knows.

use axum::{
    Json,
    extract::{Path, State},
    http::Uri,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        asked,
        listed::{Listed, PageQuery},
        sent::Sent,
    },
    none_of,
};
use crate::{
    http::{
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    hub::mappings::{
        InForce,
        preview::{self, PreviewError, Subject},
        state::{self, DaemonMappings},
        system_of,
        unmapped::{self, UnmappedCode},
    },
    mapping::{Effective, Format},
    principal::Permission,
};

/// Records that a preview shows; all of them count.
const SHOWN: usize = 50;

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(preview_document))
        .routes(routes!(list_unmapped))
}

/// A mapping as this daemon works by it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Mapping)]
struct MappingOut {
    #[schema(example = "logo/items")]
    name: String,
    #[schema(example = "product")]
    entity: String,
    /// Of its file and the answers over its tables.
    #[schema(example = "3f9a1c0d")]
    hash: String,
    /// `built in`, or the directory that it is read from.
    #[schema(example = "built in")]
    source: String,
    #[schema(example = json!(["json"]))]
    formats: Vec<&'static str>,
    #[schema(example = json!(["currency"]))]
    tables: Vec<String>,
}

/// Which rules a daemon holds.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DaemonMapping)]
struct DaemonOut {
    #[schema(value_type = uuid::Uuid)]
    daemon: uuid::Uuid,
    #[schema(example = "hub-1")]
    host: String,
    pid: i32,
    /// Of the mapping; null when it has none of the name.
    hash: Option<String>,
    taken_over_at: DateTime<Utc>,
    /// Why an edit was not taken over.
    error: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct MappingList {
    items: Vec<MappingOut>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MappingDetail {
    mapping: MappingOut,
    /// The live daemons, each with the rules that it works by.
    in_force: Vec<DaemonOut>,
}

fn mapping(in_force: &InForce, effective: &Effective) -> MappingOut {
    let own = in_force.library().own().get(system_of(effective.name()));
    MappingOut {
        name: effective.name().to_owned(),
        entity: effective.entity().to_string(),
        hash: effective.hash().to_owned(),
        source: own.cloned().unwrap_or_else(|| "built in".to_owned()),
        formats: effective.formats().into_iter().map(Format::as_str).collect(),
        tables: effective.tables().into_iter().map(str::to_owned).collect(),
    }
}

/// The mappings in force.
#[utoipa::path(
    get,
    path = "/api/admin/mappings",
    tag = "admin",
    operation_id = "listMappings",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    responses((status = 200, description = "All of them", body = MappingList), Denied)
)]
async fn list(State(state): State<HttpState>, caller: SignedIn) -> Result<Json<MappingList>, Problem> {
    caller.require(Permission::HubView)?;
    let in_force = state.engine.library.now();
    let items = in_force.iter().map(|effective| mapping(&in_force, effective)).collect();
    Ok(Json(MappingList { items }))
}

/// One mapping, and which daemons work by it.
#[utoipa::path(
    get,
    path = "/api/admin/mappings/{system}/{name}",
    tag = "admin",
    operation_id = "showMapping",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(
        ("system" = String, Path, description = "`logo` of `logo/items`"),
        ("name" = String, Path, description = "`items` of `logo/items`")
    ),
    responses(
        (status = 200, description = "The mapping", body = MappingDetail),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn show(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path((system, name)): Path<(String, String)>,
) -> Result<Json<MappingDetail>, Problem> {
    caller.require(Permission::HubView)?;
    let in_force = state.engine.library.now();
    let effective = in_force.get(&format!("{system}/{name}")).ok_or_else(|| none_of("mapping"))?;
    let daemons = state::list(&state.pool, state.engine.settings.lease).await?;
    let held = |daemon: DaemonMappings| DaemonOut {
        hash: daemon.mappings.get(effective.name()).map(|held| held.hash.clone()),
        daemon: daemon.daemon,
        host: daemon.host,
        pid: daemon.pid,
        taken_over_at: daemon.taken_over_at,
        error: daemon.error,
    };
    let in_force_in = daemons.into_iter().map(held).collect();
    Ok(Json(MappingDetail { mapping: mapping(&in_force, &effective), in_force: in_force_in }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = MappingPreviewRequest)]
struct PreviewIn {
    /// The document as text.
    #[schema(example = r#"{"items": [{"CODE": "KMR-DM4-2812", "NAME": "IP kamera"}]}"#)]
    document: String,
    /// `json`, `xml` or `csv`; the mapping's first when it is left out.
    #[schema(example = "json")]
    format: Option<String>,
    /// As which instance's document; the one whose stream uses the mapping when it is left out.
    #[schema(example = "logo")]
    instance: Option<String>,
}

/// What a document would change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MappingPreview)]
struct PreviewOut {
    #[schema(example = "logo/items")]
    mapping: String,
    #[schema(example = "product")]
    entity: String,
    #[schema(example = "3f9a1c0d")]
    hash: String,
    #[schema(example = "json")]
    format: &'static str,
    #[schema(example = "logo")]
    instance: String,
    /// How many records would become what.
    #[schema(value_type = Object, example = json!({ "records": 1, "created": 1 }))]
    counts: Value,
    /// The first 50, field by field.
    #[schema(value_type = Vec<Object>, example = json!([]))]
    records: Vec<Value>,
    /// Codes that no table knows.
    #[schema(value_type = Vec<Object>, example = json!([]))]
    unmapped: Vec<Value>,
    #[schema(value_type = Vec<Object>, example = json!([]))]
    skipped: Vec<Value>,
}

/// What a document would change, record by record and field by field. Writes nothing.
#[utoipa::path(
    post,
    path = "/api/admin/mappings/{system}/{name}/preview",
    tag = "admin",
    operation_id = "previewMapping",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(
        ("system" = String, Path, description = "`logo` of `logo/items`"),
        ("name" = String, Path, description = "`items` of `logo/items`")
    ),
    request_body = PreviewIn,
    responses(
        (status = 200, description = "What it would change", body = PreviewOut),
        (status = 404, description = "No such mapping", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn preview_document(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path((system, name)): Path<(String, String)>,
    sent: Sent<PreviewIn>,
) -> Result<Json<PreviewOut>, Problem> {
    caller.require(Permission::HubView)?;
    let engine = &state.engine;
    let name = format!("{system}/{name}");
    let in_force = engine.library.now();
    let chosen = in_force.get(&name).ok_or_else(|| none_of("mapping"))?;
    let instance = match asked::given(&sent.value.instance) {
        Some(instance) => {
            engine.instance(instance).map_err(|error| asked::wrong("instance", "unknown_value", error.to_string()))?;
            instance.to_owned()
        }
        None => preview::instance_of(engine, &name).unwrap_or(&system).to_owned(),
    };
    let chosen = in_force.get_for(&instance, &name).unwrap_or(chosen);
    let format = asked::one_of("format", &sent.value.format, Format::parse, &["json", "xml", "csv"])?
        .or_else(|| chosen.formats().first().copied())
        .unwrap_or(Format::Json);
    let subject = Subject { connector: &instance, mapping: &chosen, format, received_at: engine.database_now().await? };
    let found = preview::preview(Some(engine), &subject, sent.value.document.as_bytes()).await.map_err(unread)?;
    let records = found.records.iter().take(SHOWN).map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
    Ok(Json(PreviewOut {
        mapping: name,
        entity: chosen.entity().to_string(),
        hash: chosen.hash().to_owned(),
        format: format.as_str(),
        instance,
        counts: serde_json::to_value(found.counts).map_err(Problem::internal)?,
        records: records.map_err(Problem::internal)?,
        unmapped: found.unmapped,
        skipped: found.skipped,
    }))
}

fn unread(error: PreviewError) -> Problem {
    let said = error.to_string();
    match error {
        PreviewError::Unreadable(_) | PreviewError::Charset(_) => asked::wrong("document", "unreadable", said),
        PreviewError::Database(error) => error.into(),
        other => Problem::internal(other),
    }
}

/// Which codes; every part narrows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UnmappedQuery {
    /// Of this system: `logo`
    system: Option<String>,
    /// Of this table: `currency`
    table: Option<String>,
    /// Those that were put aside as well
    #[param(value_type = Option<bool>)]
    ignored: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UnmappedList {
    #[schema(value_type = Vec<Object>, example = json!([{ "system": "logo", "table": "currency", "code": "77", "seen": 3 }]))]
    items: Vec<UnmappedCode>,
    next_cursor: Option<String>,
}

/// Codes that no table knows, and that wait for an answer.
#[utoipa::path(
    get,
    path = "/api/admin/mappings/unmapped",
    tag = "admin",
    operation_id = "listUnmappedCodes",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(UnmappedQuery, PageQuery),
    responses((status = 200, description = "A page of codes", body = UnmappedList), Denied)
)]
async fn list_unmapped(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
    uri: Uri,
) -> Result<Json<UnmappedList>, Problem> {
    const LIST: &str = "unmapped";
    caller.require(Permission::HubView)?;
    let query: UnmappedQuery = asked::query(&uri)?;
    let filter = unmapped::Filter {
        system: asked::text("system", &query.system, 100)?.map(str::to_owned),
        table: asked::text("table", &query.table, 100)?.map(str::to_owned),
        connector: None,
        ignored: asked::flag("ignored", &query.ignored)?.unwrap_or(false),
    };
    let after: Option<(String, String, String, String)> = page.after(LIST)?;
    let after = after.map(|(system, table, code, connector)| unmapped::After { system, table, code, connector });
    let rows = unmapped::list(&state.pool, &filter, after.as_ref(), page.rows()).await?;
    let found =
        page.page(LIST, rows, |row| (row.system.clone(), row.table.clone(), row.code.clone(), row.connector.clone()));
    Ok(Json(UnmappedList { items: found.items, next_cursor: found.next_cursor }))
}

//! `/api/v1/account`: where a dealer stands, what moved, and its statement.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::{self, whose},
    listed::{Listed, PageQuery},
    tagged::Tagged,
};
use crate::{
    commerce::{
        account::{self, Balance, EntryKind, Movement, MovementFilter, Period, Statement, StatementError},
        orders::istanbul_day,
    },
    database,
    http::{
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    page::Page,
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(balance)).routes(routes!(transactions)).routes(routes!(statement))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct WhoseQuery {
    /// Required of people of the house; a dealer's own when it is left out.
    #[param(value_type = Option<i64>)]
    customer_id: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct MovementsQuery {
    /// Required of people of the house; a dealer's own when it is left out.
    #[param(value_type = Option<i64>)]
    customer_id: Option<String>,
    /// The first day.
    #[param(value_type = Option<NaiveDate>)]
    from: Option<String>,
    /// The last day.
    #[param(value_type = Option<NaiveDate>)]
    to: Option<String>,
    #[param(example = "TRY")]
    currency: Option<String>,
    /// invoice, payment, return, refund, opening, adjustment or other
    kind: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct StatementQuery {
    /// Required of people of the house; a dealer's own when it is left out.
    #[param(value_type = Option<i64>)]
    customer_id: Option<String>,
    /// The first day; the first of the last day's month when it is left out.
    #[param(value_type = Option<NaiveDate>)]
    from: Option<String>,
    /// The last day; today when it is left out. At most 3,660 days.
    #[param(value_type = Option<NaiveDate>)]
    to: Option<String>,
    /// The customer's own when it is left out.
    #[param(example = "TRY")]
    currency: Option<String>,
    /// `json` (the default) or `csv`: UTF-8 with its mark, semicolons, decimal commas.
    format: Option<String>,
}

/// A page of movements.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MovementPage {
    items: Vec<Movement>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

/// Where a dealer stands: balance by currency, what is overdue, open orders, and what may still be ordered on credit.
#[utoipa::path(
    get,
    path = "/api/v1/account/balance",
    tag = "account",
    operation_id = "showBalance",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("account.view"))),
    params(
        WhoseQuery,
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "As it is now", body = Balance, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        (status = 404, description = "No such customer, or not yours", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn balance(
    State(state): State<HttpState>,
    caller: SignedIn,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Permission::AccountView)?;
    let query: WhoseQuery = asked::query(&uri)?;
    let customer = whose(&caller, asked::id("customerId", &query.customer_id)?)?;
    let (scope, today) = (caller.scope(), istanbul_day(state.clock.now()));
    let mut tx = database::read_within(&state.pool, scope).await?;
    let balance = account::balance(&mut tx, scope, customer, today).await?.ok_or_else(asked::no_customer)?;
    tx.commit().await?;
    Ok(Tagged::json(&balance)?.answer(&headers))
}

/// Movements that count, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/account/transactions",
    tag = "account",
    operation_id = "listTransactions",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("account.view"))),
    params(
        MovementsQuery,
        PageQuery,
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "A page", body = MovementPage, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        (status = 404, description = "No such customer, or not yours", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn transactions(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Permission::AccountView)?;
    let query: MovementsQuery = asked::query(&uri)?;
    let customer = whose(&caller, asked::id("customerId", &query.customer_id)?)?;
    let kinds = EntryKind::ALL.map(EntryKind::as_str);
    let filter = MovementFilter {
        from: asked::day("from", &query.from)?,
        to: asked::day("to", &query.to)?,
        currency: asked::currency("currency", &query.currency)?,
        kind: asked::one_of("kind", &query.kind, EntryKind::parse, &kinds)?,
    };
    let scope = caller.scope();
    let mut tx = database::read_within(&state.pool, scope).await?;
    let found: Page<Movement> = account::transactions(&mut tx, scope, customer, &filter, &page).await?;
    tx.commit().await?;
    Ok(Tagged::json(&found)?.answer(&headers))
}

/// What the account stood at, what moved in a period with the balance behind each movement, and what it stands at.
#[utoipa::path(
    get,
    path = "/api/v1/account/statement",
    tag = "account",
    operation_id = "showStatement",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("account.view"))),
    params(
        StatementQuery,
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (
            status = 200,
            description = "The statement",
            content((Statement = "application/json"), (String = "text/csv")),
            headers(("ETag" = String))
        ),
        (status = 304, description = "The known answer still holds"),
        (status = 404, description = "No such customer, or not yours", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn statement(
    State(state): State<HttpState>,
    caller: SignedIn,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Permission::AccountView)?;
    let query: StatementQuery = asked::query(&uri)?;
    let customer = whose(&caller, asked::id("customerId", &query.customer_id)?)?;
    let known = |name: &str| matches!(name, "json" | "csv").then(|| name == "csv");
    let as_csv = asked::one_of("format", &query.format, known, &["json", "csv"])?.unwrap_or(false);
    let (from, to) = (asked::day("from", &query.from)?, asked::day("to", &query.to)?);
    let period = Period::new(from, to, istanbul_day(state.clock.now()))?;
    let currency = asked::currency("currency", &query.currency)?;
    let scope = caller.scope();
    let mut tx = database::read_within(&state.pool, scope).await?;
    let found = match account::statement(&mut tx, scope, customer, period, currency.as_deref()).await {
        Ok(found) => found.ok_or_else(asked::no_customer)?,
        Err(StatementError::TooMany) => {
            return Err(asked::wrong("from", "too_many", StatementError::TooMany.to_string()));
        }
        Err(StatementError::Database(error)) => return Err(error.into()),
    };
    tx.commit().await?;
    if as_csv { csv(&found) } else { Ok(Tagged::json(&found)?.answer(&headers)) }
}

fn csv(statement: &Statement) -> Result<Response, Problem> {
    let name =
        format!("attachment; filename=\"ekstre-{}-{}-{}.csv\"", statement.customer_id, statement.from, statement.to);
    let name = HeaderValue::from_str(&name).map_err(Problem::internal)?;
    let csv = HeaderValue::from_static("text/csv; charset=utf-8");
    let headers = [(header::CONTENT_TYPE, csv), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, account::statement_csv(statement)).into_response())
}

//! Lists, one product, and why its price is what it is.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, Uri},
    response::Response,
};

use super::{
    answers::Asked,
    overrides::OverrideOut,
    query::{self, ListQuery, PriceQuery, ShowQuery, Wanted},
    shapes::{DetailOut, ExplanationOut, PageOut, PriceOut},
    unknown, written,
};
use crate::{
    commerce::{
        catalogue::{Filter, Reader, Viewer, Which},
        pricing::Ask,
    },
    http::{
        api::tagged::Tagged,
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::PublicState,
        signed_in::SignedIn,
    },
    principal::Permission,
};

/// Products at the caller's prices.
///
/// Sorted by name when nothing else is said, as Turkish sorts. A page costs the same whatever the number of products;
/// `count` counts what there is.
#[utoipa::path(
    get,
    path = "/api/v1/products",
    tag = "catalogue",
    operation_id = "listProducts",
    security(("bearer" = []), ("apiKey" = [])),
    params(ListQuery, ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")),
    responses(
        (status = 200, description = "A page", body = PageOut, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        (
            status = 404,
            description = "There is no such customer",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn list(
    State(state): State<PublicState>,
    caller: SignedIn,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = query::read::<ListQuery>(&uri)?.wanted()?;
    let viewer = query::viewer(&state, &caller, wanted.customer_id, wanted.include_inactive).await?;
    let reader = &state.catalogue.reader;
    let references = reader.references(wanted.category.as_deref(), wanted.brand.as_deref()).await?;
    let filter = wanted.filter(references);
    let wanted = Arc::new(wanted);
    let make = || listed(reader, &viewer, &filter, &wanted);
    let answer = if filter.depends_on_goods(wanted.sort) {
        state.catalogue.answers.get(Asked::List(viewer, Arc::clone(&wanted)), make).await?
    } else {
        match reader.kept_list(&viewer, &filter, wanted.sort, &wanted.page, wanted.count).await? {
            Some(shown) => written::page(&shown?)?,
            None => match reader.written_list(&viewer, &filter, wanted.sort, &wanted.page).await? {
                Some(page) => written::page_of_lines(&page?, total(reader, &viewer, &filter, &wanted).await?)?,
                None => make().await?,
            },
        }
    };
    Ok(answer.answer(&headers))
}

async fn listed(reader: &Reader, viewer: &Viewer, filter: &Filter, wanted: &Wanted) -> Result<Tagged, Problem> {
    let page = reader.list(viewer, filter, wanted.sort, &wanted.page).await??;
    Tagged::json(&PageOut::of(page, total(reader, viewer, filter, wanted).await?))
}

async fn total(reader: &Reader, viewer: &Viewer, filter: &Filter, wanted: &Wanted) -> Result<Option<i64>, sqlx::Error> {
    if wanted.count { reader.count(viewer, filter).await.map(Some) } else { Ok(None) }
}

/// One product by its id.
#[utoipa::path(
    get,
    path = "/api/v1/products/{id}",
    tag = "catalogue",
    operation_id = "showProductById",
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The product's id"),
        ShowQuery,
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "The product", body = DetailOut, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        (
            status = 404,
            description = "There is no such product, or it is not in use",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn show(
    State(state): State<PublicState>,
    caller: SignedIn,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = product_id(&id)?;
    shown(&state, &caller, Which::Id(id), &uri, &headers).await
}

/// One product by its SKU.
#[utoipa::path(
    get,
    path = "/api/v1/products/by-sku/{sku}",
    tag = "catalogue",
    operation_id = "showProductBySku",
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("sku" = String, Path, description = "The product's SKU, percent-encoded"),
        ShowQuery,
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "The product", body = DetailOut, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        (
            status = 404,
            description = "There is no such product, or it is not in use",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn show_by_sku(
    State(state): State<PublicState>,
    caller: SignedIn,
    Path(sku): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    shown(&state, &caller, Which::Sku(&sku), &uri, &headers).await
}

async fn shown(
    state: &PublicState,
    caller: &SignedIn,
    which: Which<'_>,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let customer_id = query::read::<ShowQuery>(uri)?.customer_id()?;
    let viewer = query::viewer(state, caller, customer_id, false).await?;
    let viewer = Viewer { sees_all: caller.may(Permission::ProductsEdit), ..viewer };
    let reader = &state.catalogue.reader;
    // What is kept or written down tells nothing of overrides.
    if !viewer.sees_all {
        if let Some(shown) = reader.kept_product(&viewer, which).await? {
            return Ok(written::product(&shown)?.answer(headers));
        }
        if let Some(line) = reader.written_product(&viewer, which).await? {
            return Ok(written::product_of_line(&line)?.answer(headers));
        }
    }
    let detail = reader.product(&viewer, which).await?.ok_or_else(unknown)?;
    let overrides = if viewer.sees_all { reader.overrides(detail.id).await? } else { None };
    let mut document = DetailOut::from(detail);
    document.overrides = overrides.map(|found| found.into_iter().map(OverrideOut::from).collect());
    Ok(Tagged::json(&document)?.answer(headers))
}

/// What a quantity of a product costs the caller by the unit, and why: every row that might have given the price, and what
/// became of it.
#[utoipa::path(
    get,
    path = "/api/v1/products/{id}/price",
    tag = "catalogue",
    operation_id = "explainPrice",
    security(("bearer" = []), ("apiKey" = [])),
    params(("id" = i64, Path, description = "The product's id"), PriceQuery),
    responses(
        (status = 200, description = "The price and its reasons", body = ExplanationOut),
        (
            status = 404,
            description = "There is no such product, or it is not in use",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn price(
    State(state): State<PublicState>,
    caller: SignedIn,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = product_id(&id)?;
    let wanted = query::read::<PriceQuery>(&uri)?.wanted()?;
    let viewer = query::viewer(&state, &caller, wanted.customer_id, false).await?;
    let viewer = Viewer { sees_all: caller.may(Permission::ProductsEdit), ..viewer };
    let reader = &state.catalogue.reader;
    let product = reader.product(&viewer, Which::Id(id)).await?.ok_or_else(unknown)?;
    if let Some(unit) = &wanted.unit
        && product.unit.as_ref() != Some(unit)
        && product.units.iter().all(|known| known.unit != *unit)
    {
        let known: Vec<&str> = product.units.iter().map(|known| known.unit.as_str()).collect();
        return Err(query::wrong("unit", format!("is none of the product's units: {}", known.join(", "))));
    }
    let ask = Ask { product_id: id, unit: wanted.unit, quantity: wanted.quantity };
    let priced = reader.price(viewer.dealer, viewer.day, &ask).await?;
    let explanation = reader.explain(viewer.dealer, viewer.day, &ask).await?;
    let answer = ExplanationOut {
        product_id: id,
        customer_id: viewer.dealer.customer_id.filter(|id| *id != 0),
        day: viewer.day,
        quantity: ask.quantity.into(),
        unit: ask.unit,
        price: priced.map(PriceOut::from),
        candidates: explanation.candidates.into_iter().map(Into::into).collect(),
    };
    Ok(Tagged::json(&answer)?.answer(&headers))
}

/// What is no number is nobody's id.
pub(super) fn product_id(text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| unknown())
}

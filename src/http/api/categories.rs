//! `/api/v1/categories` and `/api/v1/brands`.

use axum::{extract::State, http::HeaderMap, response::Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    listed::{Listed, PageQuery},
    products::Asked,
    tagged::Tagged,
};
use crate::{
    commerce::catalogue,
    http::{openapi::Denied, problem::Problem, router::PublicState, signed_in::SignedIn},
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(list_categories)).routes(routes!(list_brands))
}

/// The tree of categories.
#[derive(Serialize, ToSchema)]
#[schema(as = CategoryTree)]
struct TreeOut {
    /// By name; those at the top.
    items: Vec<CategoryOut>,
}

/// A category in use, and what lies below it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Category)]
struct CategoryOut {
    id: i64,
    code: String,
    name: String,
    /// Products of the category itself that dealers see.
    product_count: i64,
    /// The same with all categories below.
    total_product_count: i64,
    #[schema(no_recursion)]
    children: Vec<CategoryOut>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BrandPage)]
struct BrandPage {
    items: Vec<BrandOut>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Brand)]
struct BrandOut {
    id: i64,
    code: String,
    name: String,
    /// Products that dealers see.
    product_count: i64,
}

impl From<catalogue::Brand> for BrandOut {
    fn from(brand: catalogue::Brand) -> BrandOut {
        BrandOut { id: brand.id, code: brand.code, name: brand.name, product_count: brand.products }
    }
}

impl From<catalogue::Category> for CategoryOut {
    fn from(category: catalogue::Category) -> CategoryOut {
        CategoryOut {
            id: category.id,
            code: category.code,
            name: category.name,
            product_count: category.own,
            total_product_count: category.all,
            children: category.below.into_iter().map(CategoryOut::from).collect(),
        }
    }
}

/// All categories in use, as a tree, with the numbers of products in them.
#[utoipa::path(
    get,
    path = "/api/v1/categories",
    tag = "catalogue",
    operation_id = "listCategories",
    security(("bearer" = []), ("apiKey" = [])),
    params(("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")),
    responses(
        (status = 200, description = "The tree", body = TreeOut, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        Denied
    )
)]
async fn list_categories(
    State(state): State<PublicState>,
    caller: SignedIn,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Permission::ProductsView)?;
    let reader = &state.catalogue.reader;
    let make = || async move {
        let tree = reader.categories().await?;
        Tagged::json(&TreeOut { items: tree.into_iter().map(CategoryOut::from).collect() })
    };
    Ok(state.catalogue.answers.get(Asked::Categories, make).await?.answer(&headers))
}

/// The brands in use, by name.
#[utoipa::path(
    get,
    path = "/api/v1/brands",
    tag = "catalogue",
    operation_id = "listBrands",
    security(("bearer" = []), ("apiKey" = [])),
    params(PageQuery, ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")),
    responses(
        (status = 200, description = "A page", body = BrandPage, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        Denied
    )
)]
async fn list_brands(
    State(state): State<PublicState>,
    caller: SignedIn,
    Listed(page): Listed,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Permission::ProductsView)?;
    let (reader, asked) = (&state.catalogue.reader, &page);
    let make = || async move {
        let page = reader.brands(asked).await??.map(BrandOut::from);
        Tagged::json(&BrandPage { items: page.items, next_cursor: page.next_cursor })
    };
    Ok(state.catalogue.answers.get(Asked::Brands(page.clone()), make).await?.answer(&headers))
}

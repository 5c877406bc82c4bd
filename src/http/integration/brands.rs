//! Brands.

use utoipa::ToSchema;

use super::{Pushed, routes::entity_routes};
use crate::canonical::Entity;

const BRANDS: Pushed =
    Pushed { entity: Entity::Brand, mapping: "integration/brands", stream: "push.brands", list: "items" };

/// A brand.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct BrandIn {
    #[schema(max_length = 100)]
    code: String,
    #[schema(max_length = 200)]
    name: String,
    /// LOGO's own number of the record.
    logo_id: Option<i64>,
    /// True when it is left out.
    is_active: Option<bool>,
    /// Orders pushes: one with a smaller number than the newest is stale.
    version: Option<i64>,
}

#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct BrandsIn {
    #[schema(min_items = 1, max_items = 1000)]
    items: Vec<BrandIn>,
}

entity_routes!(
    BRANDS,
    tag = "integration",
    one = "/api/integration/brands",
    bulk = "/api/integration/brands/bulk",
    record = "/api/integration/brands/{externalCode}",
    item = BrandIn,
    items = BrandsIn,
    names = ["pushBrand", "pushBrands", "showBrand", "deactivateBrand"],
    also = []
);

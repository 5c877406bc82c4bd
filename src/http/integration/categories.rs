//! Categories.

use utoipa::ToSchema;

use super::{Pushed, routes::entity_routes};
use crate::canonical::Entity;

const CATEGORIES: Pushed =
    Pushed { entity: Entity::Category, mapping: "integration/categories", stream: "push.categories", list: "items" };

/// A category.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct CategoryIn {
    #[schema(max_length = 100)]
    code: String,
    #[schema(max_length = 200)]
    name: String,
    /// The category above it; none when it is left out.
    parent_code: Option<String>,
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
struct CategoriesIn {
    #[schema(min_items = 1, max_items = 1000)]
    items: Vec<CategoryIn>,
}

entity_routes!(
    CATEGORIES,
    tag = "integration",
    one = "/api/integration/categories",
    bulk = "/api/integration/categories/bulk",
    record = "/api/integration/categories/{externalCode}",
    item = CategoryIn,
    items = CategoriesIn,
    names = ["pushCategory", "pushCategories", "showCategory", "deactivateCategory"],
    also = []
);

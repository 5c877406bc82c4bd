//! Which products a list is of, and in which order.

use rust_decimal::Decimal;
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::search::Words;

/// The order of a list. Products without a price stand last when prices decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sort {
    #[default]
    Name,
    NameDescending,
    Price,
    PriceDescending,
    Newest,
    Code,
}

impl Sort {
    pub const ALL: [Sort; 6] =
        [Sort::Name, Sort::NameDescending, Sort::Price, Sort::PriceDescending, Sort::Newest, Sort::Code];

    pub const fn as_str(self) -> &'static str {
        match self {
            Sort::Name => "name",
            Sort::NameDescending => "-name",
            Sort::Price => "price",
            Sort::PriceDescending => "-price",
            Sort::Newest => "newest",
            Sort::Code => "code",
        }
    }

    pub fn parse(text: &str) -> Option<Sort> {
        Sort::ALL.into_iter().find(|sort| sort.as_str() == text)
    }

    /// The list that cursors of this order belong to.
    pub(super) const fn list(self) -> &'static str {
        match self {
            Sort::Name => "products:name",
            Sort::NameDescending => "products:-name",
            Sort::Price => "products:price",
            Sort::PriceDescending => "products:-price",
            Sort::Newest => "products:newest",
            Sort::Code => "products:code",
        }
    }
}

/// What a list is narrowed to; every field narrows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Filter {
    pub words: Words,
    pub references: References,
    /// The dealer's net price, both ends included.
    pub min_price: Option<Decimal>,
    pub max_price: Option<Decimal>,
    pub in_stock: Option<bool>,
}

/// The category and the brand of a filter, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct References {
    pub category: Found<Vec<i64>>,
    pub brand: Found<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Found<T> {
    #[default]
    NotAsked,
    Here(T),
    /// There is none, so nothing has it.
    Nowhere,
}

impl References {
    pub fn find_nothing(&self) -> bool {
        self.category == Found::Nowhere || self.brand == Found::Nowhere
    }
}

/// Looks up a category, with all that are below it, and a brand. Each is named by its code or, when no code is the same, by
/// its id.
pub async fn find_references(
    db: &mut PgConnection,
    category: Option<&str>,
    brand: Option<&str>,
) -> Result<References, sqlx::Error> {
    let mut references = References::default();
    if let Some(named) = category {
        let ids = sqlx::query_scalar!(
            r#"
            with recursive below as (
                (select id, true as is_shown from commerce.category
                 where code = $1 or id = $2
                 order by code = $1 desc
                 limit 1)
                union
                select c.id, c.is_active and c.deleted_at is null from below b join commerce.category c on c.parent_id = b.id
            )
            select id as "id!" from below where is_shown
            "#,
            storable(named),
            named.parse::<i64>().ok(),
        )
        .fetch_all(&mut *db)
        .await?;
        references.category = if ids.is_empty() { Found::Nowhere } else { Found::Here(ids) };
    }
    if let Some(named) = brand {
        let id = sqlx::query_scalar!(
            "select id from commerce.brand where code = $1 or id = $2 order by code = $1 desc limit 1",
            storable(named),
            named.parse::<i64>().ok(),
        )
        .fetch_optional(&mut *db)
        .await?;
        references.brand = id.map_or(Found::Nowhere, Found::Here);
    }
    Ok(references)
}

/// No store keeps a NUL character, so no code has one.
pub(super) fn storable(code: &str) -> &str {
    if code.contains('\0') { "" } else { code }
}

impl Filter {
    /// Whether prices or stock decide what is in a list of this order, or where.
    pub fn depends_on_goods(&self, sort: Sort) -> bool {
        self.by_price(sort) || self.in_stock.is_some()
    }

    pub(super) fn by_price(&self, sort: Sort) -> bool {
        self.needs_price() || matches!(sort, Sort::Price | Sort::PriceDescending)
    }

    /// Whether something else than prices and stock narrows.
    pub(super) fn narrows(&self) -> bool {
        !self.words.is_empty() || self.references != References::default()
    }

    pub(super) fn needs_price(&self) -> bool {
        self.min_price.is_some() || self.max_price.is_some()
    }

    /// Bytes, about.
    pub(super) fn weight(&self) -> usize {
        let below = match &self.references.category {
            Found::Here(ids) => ids.len() * size_of::<i64>(),
            _ => 0,
        };
        self.words.weight() + below
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// `where …`, without the price.
    pub(super) fn push(&self, statement: &mut QueryBuilder<Postgres>, sees_all: bool) {
        statement.push(if sees_all { " where true" } else { " where p.is_active and p.deleted_at is null" });
        for pattern in self.words.patterns() {
            statement.push(" and p.search_text like commerce.fold(").push_bind(pattern).push(")");
        }
        if let Found::Here(ids) = &self.references.category {
            statement.push(" and p.category_id = any(").push_bind(ids.clone()).push(")");
        }
        if let Found::Here(id) = &self.references.brand {
            statement.push(" and p.brand_id = ").push_bind(*id);
        }
        if let Some(in_stock) = self.in_stock {
            statement.push(if in_stock { " and " } else { " and not " });
            statement.push(
                "(not p.track_stock or exists (
                     select from commerce.stock_level s join commerce.warehouse h on h.id = s.warehouse_id
                     where s.product_id = p.id and s.available > 0 and h.is_active and h.deleted_at is null))",
            );
        }
    }
}

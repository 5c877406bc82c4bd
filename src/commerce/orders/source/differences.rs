//! Where an ERP's orders say something else than ours, for whoever has to look.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;

/// One figure on which the two books do not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderDifference)]
pub struct Difference {
    pub order_id: i64,
    pub number: String,
    /// The ERP's number of the order.
    pub logo_number: Option<String>,
    /// total, state, lines[1].total, lines[1].unit, …
    pub field: String,
    pub ours: String,
    pub theirs: String,
    pub instance: String,
    pub noted_at: DateTime<Utc>,
}

/// Which are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct DifferenceFilter<'a> {
    pub origin: Option<&'a str>,
    /// Those behind this order and field.
    pub after: Option<(i64, &'a str)>,
}

/// By order and field.
pub async fn differences<'e>(
    db: impl PgExecutor<'e>,
    filter: DifferenceFilter<'_>,
    limit: i64,
) -> Result<Vec<Difference>, sqlx::Error> {
    let (order, field) = filter.after.unzip();
    sqlx::query_as!(
        Difference,
        r#"select d.order_id, o.number, o.external_number as logo_number, d.field, d.ours, d.theirs,
               d.origin as instance, d.noted_at
           from commerce.order_difference d
           join commerce.sales_order o on o.id = d.order_id
           where ($1::text is null or d.origin = $1)
               and ($2::bigint is null or (d.order_id, d.field) > ($2, $3))
           order by d.order_id, d.field
           limit $4"#,
        filter.origin,
        order,
        field,
        limit,
    )
    .fetch_all(db)
    .await
}

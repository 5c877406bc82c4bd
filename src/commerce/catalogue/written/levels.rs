//! The stock of products as it stands now.

use std::collections::HashMap;

use rust_decimal::Decimal;
use sqlx::PgConnection;

use crate::commerce::catalogue::detail::Level;

/// By warehouse that is in use, as pages show them and orders take them. A product without any is not among them.
pub(super) async fn levels_of(conn: &mut PgConnection, ids: &[i64]) -> Result<HashMap<i64, Vec<Level>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select l.product_id, h.code, h.name, l.available as "available!"
           from commerce.stock_level l join commerce.warehouse h on h.id = l.warehouse_id
           where l.product_id = any ($1) and h.is_active and h.deleted_at is null
           order by h.code"#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    let mut levels: HashMap<i64, Vec<Level>> = HashMap::with_capacity(ids.len());
    for row in rows {
        let level = Level { warehouse: row.code, name: row.name, available: row.available };
        levels.entry(row.product_id).or_default().push(level);
    }
    Ok(levels)
}

/// All warehouses together.
pub(super) fn sum(levels: &[Level]) -> Decimal {
    levels.iter().map(|level| level.available).sum()
}

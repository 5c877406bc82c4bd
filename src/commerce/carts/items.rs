//! What lies in a cart.

use rust_decimal::Decimal;
use sqlx::PgConnection;

/// What its user put in, and what that user saw of it.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) product: i64,
    pub(crate) quantity: Decimal,
    pub(crate) unit: Option<String>,
    /// What a unit cost when it was put in, less the dealer's discount.
    pub(crate) chosen: Option<(Decimal, String)>,
    /// The same as it was shown last.
    pub(crate) shown: Option<(Decimal, String)>,
}

/// In the order in which they were put in.
pub(super) async fn items(conn: &mut PgConnection, user: i64, customer: i64) -> Result<Vec<Item>, sqlx::Error> {
    let rows = sqlx::query!(
        "select i.product_id, i.quantity, i.unit, i.chosen_price, i.chosen_currency, i.shown_price, i.shown_currency
         from commerce.cart c
         join commerce.cart_item i on i.user_id = c.user_id
         where c.user_id = $1 and c.customer_id = $2 and c.expires_at > clock_timestamp()
         order by i.added_at, i.product_id",
        user,
        customer,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Item {
            product: row.product_id,
            quantity: row.quantity,
            unit: row.unit,
            chosen: row.chosen_price.zip(row.chosen_currency),
            shown: row.shown_price.zip(row.shown_currency),
        })
        .collect())
}

/// The same, for an order: the cart is locked, so that two devices cannot order it twice.
pub(crate) async fn take(conn: &mut PgConnection, user: i64, customer: i64) -> Result<Vec<Item>, sqlx::Error> {
    sqlx::query_scalar!("select user_id from commerce.cart where user_id = $1 for update", user)
        .fetch_optional(&mut *conn)
        .await?;
    items(conn, user, customer).await
}

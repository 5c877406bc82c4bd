//! What goes into a cart and out of it.

use rust_decimal::Decimal;
use sqlx::{PgConnection, PgPool};

use super::show::{Cart, owner, show};
use crate::commerce::{
    orders::{
        MOST_LINES, NamedFault, OrderContext, OrderError,
        charge::unit_cost,
        istanbul_day,
        lines::{Fault, Measured},
        queries,
    },
    pricing::{self, Ask, Dealer, Priced},
};

/// Carts that one statement of [`trim`] takes.
const BATCH: i64 = 1_000;

/// Puts so much of a product into the cart, whatever there was of it.
pub async fn put(
    conn: &mut PgConnection,
    cx: &OrderContext<'_>,
    product: i64,
    quantity: Decimal,
    unit: Option<&str>,
) -> Result<Cart, OrderError> {
    let (user, customer) = owner(cx)?;
    let (measured, price) = acceptable(&mut *conn, cx, customer, product, quantity, unit).await?;
    let cost = unit_cost(&price, queries::discount_rate(&mut *conn, customer).await?);
    renew(&mut *conn, cx, user, customer).await?;
    let others = sqlx::query!(
        r#"select count(*) as "count!", min(shown_currency) filter (where shown_currency <> $3) as other
           from commerce.cart_item where user_id = $1 and product_id <> $2"#,
        user,
        product,
        price.currency,
    )
    .fetch_one(&mut *conn)
    .await?;
    if let Some(other) = others.other {
        let message = format!("is priced in {}, the cart in {other}: order them apart", price.currency);
        return Err(refused(Fault::new("productId", "currency_mixed", message)));
    }
    if usize::try_from(others.count).unwrap_or(usize::MAX) >= MOST_LINES {
        let message = format!("a cart has at most {MOST_LINES} items");
        return Err(refused(Fault::new("productId", "too_many", message)));
    }
    sqlx::query!(
        "insert into commerce.cart_item
            (user_id, product_id, added_at, updated_at, quantity, unit, chosen_price, chosen_currency, shown_price,
             shown_currency)
         values ($1, $2, $3, $3, $4, $5, $6, $7, $6, $7)
         on conflict on constraint cart_item_pkey do update
            set quantity = excluded.quantity, unit = excluded.unit, updated_at = excluded.updated_at,
                chosen_price = excluded.chosen_price, chosen_currency = excluded.chosen_currency,
                shown_price = excluded.shown_price, shown_currency = excluded.shown_currency",
        user,
        product,
        cx.by.now,
        measured.quantity,
        measured.unit,
        cost,
        price.currency,
    )
    .execute(&mut *conn)
    .await?;
    show(conn, cx).await
}

/// A quantity that could be ordered of a product that has a price. Whether it is in stock now is a notice, no refusal.
async fn acceptable(
    conn: &mut PgConnection,
    cx: &OrderContext<'_>,
    customer: i64,
    product: i64,
    quantity: Decimal,
    unit: Option<&str>,
) -> Result<(Measured, Priced), OrderError> {
    let goods = queries::goods(&mut *conn, &[(Some(product), None)]).await?.pop().flatten();
    let Some(goods) = goods.filter(|goods| goods.is_active) else {
        let message = format!("there is no product {product} that could be bought");
        return Err(refused(Fault::new("productId", "unknown_product", message)));
    };
    let measured = goods.measure(quantity, unit).map_err(refused)?;
    goods.check_amount(&measured).map_err(refused)?;
    let ask = Ask { product_id: product, unit: measured.unit.clone(), quantity: measured.quantity };
    let dealer = Dealer { allow_zero_price: cx.rules.allow_zero_price, ..Dealer::from(customer) };
    let day = istanbul_day(cx.by.now);
    match pricing::prices_for(conn, dealer, day, &[ask]).await?.pop().flatten() {
        Some(price) => Ok((measured, price)),
        None => Err(refused(Fault::new("productId", "no_price", "the product has no price for this customer"))),
    }
}

fn refused(fault: Fault) -> OrderError {
    OrderError::Invalid(vec![NamedFault::new(fault.field, fault.code, fault.message)])
}

/// Takes a product out; one that is not in it is out of it already.
pub async fn remove(conn: &mut PgConnection, cx: &OrderContext<'_>, product: i64) -> Result<Cart, OrderError> {
    let (user, customer) = owner(cx)?;
    let gone = sqlx::query!("delete from commerce.cart_item where user_id = $1 and product_id = $2", user, product)
        .execute(&mut *conn)
        .await?
        .rows_affected();
    if gone > 0 {
        renew(&mut *conn, cx, user, customer).await?;
    }
    show(conn, cx).await
}

/// Takes everything out.
pub async fn empty(conn: &mut PgConnection, cx: &OrderContext<'_>) -> Result<Cart, OrderError> {
    let (user, _) = owner(cx)?;
    clear(conn, user).await?;
    Ok(Cart::empty())
}

/// There is no cart any more.
pub(crate) async fn clear(conn: &mut PgConnection, user: i64) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from commerce.cart where user_id = $1", user).execute(conn).await?;
    Ok(())
}

/// The cart lives on from now, locked; one that ran out, or is of another company, begins anew.
async fn renew(conn: &mut PgConnection, cx: &OrderContext<'_>, user: i64, customer: i64) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from commerce.cart where user_id = $1 and (customer_id <> $2 or expires_at <= clock_timestamp())",
        user,
        customer,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into commerce.cart as c (user_id, customer_id, revision, created_at, updated_at, expires_at)
         values ($1, $2, 1, $3, $3, clock_timestamp() + $4::interval)
         on conflict on constraint cart_pkey do update
            set revision = c.revision + 1, updated_at = excluded.updated_at, expires_at = excluded.expires_at",
        user,
        customer,
        cx.by.now,
        queries::interval(cx.rules.cart_for),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes carts that ran out; gives how many.
pub async fn trim(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let mut gone = 0;
    loop {
        let batch = sqlx::query!(
            "delete from commerce.cart where user_id = any (array(
                select user_id from commerce.cart
                where expires_at <= clock_timestamp() order by expires_at limit $1 for update skip locked))",
            BATCH,
        )
        .execute(pool)
        .await?
        .rows_affected();
        gone += batch;
        if batch < BATCH.unsigned_abs() {
            return Ok(gone);
        }
    }
}

//! Which price lists hold for a customer.

use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use crate::{audit, outbox::Provenance, principal::Scope};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedList {
    pub price_list_id: i64,
    /// The smaller goes first.
    pub priority: i32,
}

#[derive(Debug, thiserror::Error)]
pub enum AssignError {
    #[error("there is no customer {0}")]
    UnknownCustomer(i64),
    #[error("there is no price list {0}")]
    UnknownPriceList(i64),
    #[error("the price list {0} is named twice")]
    Twice(i64),
    #[error("the store refused the price lists")]
    Database(#[from] sqlx::Error),
}

/// A customer's lists, in their order.
pub async fn assigned(
    conn: &mut PgConnection,
    scope: Scope,
    customer_id: i64,
) -> Result<Vec<AssignedList>, sqlx::Error> {
    if !scope.covers(customer_id) {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        AssignedList,
        "select price_list_id, priority from commerce.customer_price_list where customer_id = $1
         order by priority, price_list_id",
        customer_id,
    )
    .fetch_all(conn)
    .await
}

/// Gives the customer exactly these lists. Answers whether anything changed; a change leaves an audit row.
pub async fn assign(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    customer_id: i64,
    lists: &[AssignedList],
) -> Result<bool, AssignError> {
    let ids: Vec<i64> = lists.iter().map(|list| list.price_list_id).collect();
    if let Some((_, twice)) = ids.iter().enumerate().find(|(at, id)| ids[..*at].contains(id)) {
        return Err(AssignError::Twice(*twice));
    }
    // The customer's row is locked: two that assign at once go one after the other.
    sqlx::query_scalar!(
        "select id from commerce.customer where id = $1 and deleted_at is null for no key update",
        customer_id
    )
    .fetch_optional(&mut *conn)
    .await?
    .ok_or(AssignError::UnknownCustomer(customer_id))?;
    let known = sqlx::query_scalar!("select id from commerce.price_list where id = any ($1) for key share", &ids)
        .fetch_all(&mut *conn)
        .await?;
    if let Some(unknown) = ids.iter().find(|id| !known.contains(id)) {
        return Err(AssignError::UnknownPriceList(*unknown));
    }
    let before = assigned(conn, Scope::house(), customer_id).await?;
    let mut after = lists.to_vec();
    after.sort_by_key(|list| (list.priority, list.price_list_id));
    if before == after {
        return Ok(false);
    }
    sqlx::query!("delete from commerce.customer_price_list where customer_id = $1", customer_id)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "insert into commerce.customer_price_list (customer_id, price_list_id, priority)
         select $1, l.id, l.priority from unnest($2::bigint[], $3::integer[]) as l (id, priority)",
        customer_id,
        &ids,
        &lists.iter().map(|list| list.priority).collect::<Vec<_>>(),
    )
    .execute(&mut *conn)
    .await?;
    let entry = audit::Entry {
        action: "customer.price_lists_set",
        subject_kind: "customer",
        subject: customer_id.to_string(),
        detail: json!({ "before": before, "after": after }),
    };
    audit::record(conn, by.actor(), &[entry]).await?;
    Ok(true)
}

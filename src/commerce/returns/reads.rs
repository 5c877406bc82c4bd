//! Returns as they are shown.

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, serde::arbitrary_precision};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::state::ReturnState;
use crate::{
    commerce::account::ListError,
    page::{Page, PageRequest},
    principal::Scope,
};

/// A return in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReturnHead {
    pub id: i64,
    pub number: String,
    /// requested, approved, rejected or received
    pub state: String,
    /// damaged, wrong_item, defective, not_wanted or other
    pub reason: String,
    pub note: Option<String>,
    pub customer_id: i64,
    pub order_id: i64,
    pub order_number: String,
    pub created_at: DateTime<Utc>,
    pub decided_at: Option<DateTime<Utc>>,
    /// What was said with the decision: why it was rejected.
    pub decision_note: Option<String>,
    pub received_at: Option<DateTime<Utc>>,
    pub warehouse_code: Option<String>,
    /// The ERP's number of its return slip.
    pub logo_number: Option<String>,
    /// When the ERP took the slip.
    pub sent_at: Option<DateTime<Utc>>,
    pub revision: i64,
}

/// A return with its lines and what was done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Return {
    #[serde(flatten)]
    pub head: ReturnHead,
    pub lines: Vec<ReturnLineView>,
    /// Oldest first.
    pub history: Vec<HistoryEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReturnLine)]
pub struct ReturnLineView {
    pub order_line_id: i64,
    pub product_id: Option<i64>,
    pub code: String,
    pub name: String,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub quantity: Decimal,
    pub unit: Option<String>,
    /// Where it is another than that of the whole return.
    pub reason: Option<String>,
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReturnHistoryEntry)]
pub struct HistoryEntry {
    pub at: DateTime<Utc>,
    pub from_state: Option<String>,
    pub state: String,
    /// `user:12`
    pub actor: String,
    pub note: Option<String>,
}

/// Which returns are wanted; every field narrows.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReturnFilter {
    pub customer: Option<i64>,
    pub order: Option<i64>,
    pub state: Option<ReturnState>,
}

const LIST: &str = "returns";

/// Newest first.
pub async fn list(
    conn: &mut PgConnection,
    scope: Scope,
    filter: ReturnFilter,
    page: &PageRequest,
) -> Result<Page<ReturnHead>, ListError> {
    let after: Option<i64> = page.after(LIST)?;
    let rows = sqlx::query_as!(
        ReturnHead,
        r#"select r.id, r.number, r.state, r.reason, r.note, r.customer_id, r.order_id, o.number as order_number,
               r.created_at, r.decided_at, r.decision_note, r.received_at, w.code as "warehouse_code?",
               r.external_number as logo_number, r.sent_at, r.revision
           from commerce.return_request r
           join commerce.sales_order o on o.id = r.order_id
           left join commerce.warehouse w on w.id = r.warehouse_id
           where ($1 or r.customer_id = $2)
               and ($3::bigint is null or r.customer_id = $3)
               and ($4::bigint is null or r.order_id = $4)
               and ($5::text is null or r.state = $5)
               and ($6::bigint is null or r.id < $6)
           order by r.id desc
           limit $7"#,
        scope.is_house(),
        scope.company_id(),
        filter.customer,
        filter.order,
        filter.state.map(ReturnState::as_str),
        after,
        page.rows(),
    )
    .fetch_all(conn)
    .await?;
    Ok(page.page(LIST, rows, |row| row.id))
}

/// `None`: there is none that the scope covers.
pub async fn find(conn: &mut PgConnection, scope: Scope, id: i64) -> Result<Option<Return>, sqlx::Error> {
    let head = sqlx::query_as!(
        ReturnHead,
        r#"select r.id, r.number, r.state, r.reason, r.note, r.customer_id, r.order_id, o.number as order_number,
               r.created_at, r.decided_at, r.decision_note, r.received_at, w.code as "warehouse_code?",
               r.external_number as logo_number, r.sent_at, r.revision
           from commerce.return_request r
           join commerce.sales_order o on o.id = r.order_id
           left join commerce.warehouse w on w.id = r.warehouse_id
           where r.id = $1 and ($2 or r.customer_id = $3)"#,
        id,
        scope.is_house(),
        scope.company_id(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(head) = head else { return Ok(None) };
    let lines = sqlx::query_as!(
        ReturnLineView,
        "select r.order_line_id, l.product_id, l.code, l.name, r.quantity, l.unit, r.reason, r.note
         from commerce.return_line r
         join commerce.sales_order_line l on l.id = r.order_line_id
         where r.return_id = $1
         order by r.position",
        id,
    )
    .fetch_all(&mut *conn)
    .await?;
    let history = sqlx::query_as!(
        HistoryEntry,
        "select at, from_state, state, actor, note from commerce.return_history where return_id = $1 order by revision",
        id,
    )
    .fetch_all(conn)
    .await?;
    Ok(Some(Return { head, lines, history }))
}

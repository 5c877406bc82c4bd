//! Which products a search finds, in the order of names.
//!
//! The leaves ([`super::leaves`]) tell it. Where they cannot, the store can walk the names and look at each, which ends soon when many are found and they lie everywhere; or take what the words
//! find out of their index and sort it, which is quick when few are found. It takes the one or the other by a guess, and names that
//! begin alike lie together: all that is wanted may stand at the end of the walk. So a part of the walk is tried, and then the index.

use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};

use super::{
    filter::{Filter, Sort},
    leaves,
    list::{self, Key},
};

/// Names that are looked at before the index is asked.
const WALKED: i64 = 1_000;

/// What the order of a list needs of a product.
#[derive(Debug, FromRow)]
pub(super) struct Place {
    pub id: i64,
    pub code: String,
    pub name: String,
}

/// Whether a list is found so.
pub(super) fn is_search(filter: &Filter, sort: Sort) -> bool {
    !filter.words.is_empty() && matches!(sort, Sort::Name | Sort::NameDescending)
}

/// The products of a page of such a list.
pub(super) async fn places(
    db: &mut PgConnection,
    sees_all: bool,
    filter: &Filter,
    sort: Sort,
    after: Option<&Key>,
    rows: i64,
) -> Result<Vec<Place>, sqlx::Error> {
    if let Some(leaves::Found(ids)) = leaves::find(db, sees_all, filter, sort, after, rows).await? {
        let mut statement = QueryBuilder::new("select p.id, p.code, p.name from commerce.product p");
        filter.push(&mut statement, sees_all);
        statement.push(" and p.id = any(").push_bind(ids).push(")");
        push_page(&mut statement, sort, after, rows);
        return statement.build_query_as().fetch_all(db).await;
    }
    let mut statement = QueryBuilder::new("select p.id, p.code, p.name from (select p.* from commerce.product p");
    statement.push(if sees_all { " where true" } else { " where p.is_active and p.deleted_at is null" });
    push_page(&mut statement, sort, after, WALKED);
    statement.push(") p");
    filter.push(&mut statement, sees_all);
    push_page(&mut statement, sort, None, rows);
    let walked: Vec<Place> = statement.build_query_as().persistent(false).fetch_all(&mut *db).await?;
    if i64::try_from(walked.len()).is_ok_and(|found| found >= rows) {
        return Ok(walked);
    }
    let mut statement =
        QueryBuilder::new("with found as materialized (select p.id, p.code, p.name from commerce.product p");
    filter.push(&mut statement, sees_all);
    statement.push(") select p.id, p.code, p.name from found p where true");
    push_page(&mut statement, sort, after, rows);
    statement.build_query_as().persistent(false).fetch_all(db).await
}

fn push_page(statement: &mut QueryBuilder<Postgres>, sort: Sort, after: Option<&Key>, rows: i64) {
    if let Some(after) = after {
        list::push_after(statement, sort, after);
    }
    list::push_order(statement, sort);
    statement.push(format!(" limit {rows}"));
}

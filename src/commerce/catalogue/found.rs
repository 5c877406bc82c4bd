//! Which products a search finds, in the order of names.
//!
//! The leaves ([`super::leaves`]) tell it. Where they cannot, the store can walk the names and look at each, which ends soon when many
//! are found and they lie everywhere; or take what the words find out of their index and sort it, which is quick when few are found. It
//! takes the one or the other by a guess, and names that begin alike lie together: all that is wanted may stand at the end of the
//! walk. So a part of the walk is tried, and then the index.

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

/// What is known of a page of such a list.
pub(super) enum Look {
    /// All of it stands among these, some of which may not belong to it.
    Among(Vec<i64>),
    /// This is it.
    Page(Vec<Place>),
}

/// Looks for the products of a page of such a list.
pub(super) async fn look(
    db: &mut PgConnection,
    sees_all: bool,
    filter: &Filter,
    sort: Sort,
    after: Option<&Key>,
    rows: i64,
) -> Result<Look, sqlx::Error> {
    if let Some(ids) = leaves::find(db, sees_all, filter, sort, after, rows).await? {
        return Ok(Look::Among(ids));
    }
    let mut statement = QueryBuilder::new("select p.id, p.code, p.name from (select p.* from commerce.product p");
    statement.push(if sees_all { " where true" } else { " where p.is_active and p.deleted_at is null" });
    push_page(&mut statement, sort, after, WALKED);
    statement.push(") p");
    filter.push(&mut statement, sees_all);
    push_page(&mut statement, sort, None, rows);
    let walked: Vec<Place> = statement.build_query_as().persistent(false).fetch_all(&mut *db).await?;
    if i64::try_from(walked.len()).is_ok_and(|found| found >= rows) {
        return Ok(Look::Page(walked));
    }
    let mut statement =
        QueryBuilder::new("with found as materialized (select p.id, p.code, p.name from commerce.product p");
    filter.push(&mut statement, sees_all);
    statement.push(") select p.id, p.code, p.name from found p where true");
    push_page(&mut statement, sort, after, rows);
    statement.build_query_as().persistent(false).fetch_all(db).await.map(Look::Page)
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
    match look(db, sees_all, filter, sort, after, rows).await? {
        Look::Page(places) => Ok(places),
        Look::Among(ids) => {
            let mut statement = QueryBuilder::new("select p.id, p.code, p.name from commerce.product p");
            push_among(&mut statement, sees_all, filter, ids);
            push_page(&mut statement, sort, after, rows);
            statement.build_query_as().fetch_all(db).await
        }
    }
}

/// `where …` for what was found among these.
pub(super) fn push_among(statement: &mut QueryBuilder<Postgres>, sees_all: bool, filter: &Filter, ids: Vec<i64>) {
    filter.push(statement, sees_all);
    statement.push(" and p.id = any(").push_bind(ids).push(")");
}

pub(super) fn push_page(statement: &mut QueryBuilder<Postgres>, sort: Sort, after: Option<&Key>, rows: i64) {
    if let Some(after) = after {
        list::push_after(statement, sort, after);
    }
    list::push_order(statement, sort);
    // In the text: with a number that it does not know the store would plan for a tenth of the catalogue.
    statement.push(format!(" limit {rows}"));
}

//! Links are looked up by what is asked for, whatever the statistics of the tables say.

use kopru::{
    canonical::Entity,
    hub::{keyed::by_key, links},
};
use sqlx::{Acquire, PgConnection};

use crate::support::database::TestDatabase;

/// What a page asks, on the connection that has asked it before.
async fn ask(db: &mut PgConnection, from: i64) -> (usize, usize, usize) {
    let ids: Vec<i64> = (from..from + 50).collect();
    let codes: Vec<String> = ids.iter().map(|id| format!("K{id}")).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let mut tx = db.begin().await.expect("begin");
    by_key(&mut tx).await.expect("planned by key");
    let found = (
        links::by_code(&mut tx, "erp", Entity::Product, &codes).await.expect("links").len(),
        links::by_external_id(&mut tx, "erp", Entity::Product, &codes).await.expect("links").len(),
        links::by_internal_id(&mut tx, "erp", Entity::Product, &ids).await.expect("links").len(),
    );
    tx.commit().await.expect("commit");
    found
}

/// A connection plans once, and it may have done so when there was nothing yet.
#[tokio::test]
async fn plans_of_an_empty_table_serve_a_full_one() {
    let database = TestDatabase::new().await;
    let mut db = database.pool.acquire().await.expect("a connection");
    let db: &mut PgConnection = &mut db;
    for statement in ["alter table hub.external_ref set (autovacuum_enabled = false)", "analyze hub.external_ref"] {
        sqlx::query(statement).execute(&mut *db).await.expect("no statistics but these");
    }
    assert_eq!(ask(db, 1).await, (0, 0, 0));
    sqlx::query(
        "insert into hub.external_ref (connector, entity, internal_id, external_code, external_id, content_hash)
         select 'erp', 'product', n, 'K' || n, 'K' || n, decode(repeat('00', 16), 'hex')
         from generate_series(1, 3000) n",
    )
    .execute(&mut *db)
    .await
    .expect("links");
    let read = "select coalesce(sum(idx_tup_read), 0)::bigint from pg_stat_all_indexes
                where schemaname = 'hub' and relname = 'external_ref'";
    let flush = "select pg_stat_force_next_flush()";
    sqlx::query(flush).execute(&mut *db).await.expect("told");
    let before: i64 = sqlx::query_scalar(read).fetch_one(&mut *db).await.expect("statistics");
    assert_eq!(ask(db, 1000).await, (50, 50, 50));
    sqlx::query(flush).execute(&mut *db).await.expect("told");
    let after: i64 = sqlx::query_scalar(read).fetch_one(&mut *db).await.expect("statistics");
    assert!(after - before >= 150, "the rows that were asked for are counted: {}", after - before);
    assert!(after - before < 1000, "{} index entries were read for 150 rows", after - before);
}

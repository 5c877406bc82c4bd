//! The schema: migrations run once, twice and concurrently.

use crate::support::database::TestDatabase;

#[tokio::test]
async fn migrating_again_and_at_once_changes_nothing() {
    let database = TestDatabase::new().await;
    let (one, two) = tokio::join!(kopru::database::migrate(&database.pool), kopru::database::migrate(&database.pool));
    one.expect("first");
    two.expect("second");
    let schemas: Vec<String> = sqlx::query_scalar(
        "select nspname::text from pg_namespace where nspname in ('commerce', 'hub', 'identity') order by 1",
    )
    .fetch_all(&database.pool)
    .await
    .expect("list schemas");
    assert_eq!(schemas, ["commerce", "hub", "identity"]);
}

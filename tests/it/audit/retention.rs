//! What is old enough goes as a whole, and what is left still holds.

use kopru::audit::{
    retention, sealer,
    verify::{self, Noted},
};
use sqlx::{AssertSqlSafe, Executor, PgPool};

use super::{verdict, write};
use crate::support::database::TestDatabase;

/// Rows of eight years ago, as they were written then.
async fn write_old(pool: &PgPool, rows: i32) {
    let statement = format!(
        "insert into identity.audit_event (id, at, actor, action, subject_kind, subject, correlation_id, detail)
         select gen_random_uuid(), clock_timestamp() - interval '8 years', 'user:7', 'order.placed', 'order', n::text, 'c', '{{}}'
         from generate_series(1, {rows}) n"
    );
    pool.execute(AssertSqlSafe(statement)).await.expect("written");
    sealer::work_off(pool).await.expect("sealed");
}

#[tokio::test]
async fn a_beginning_of_the_chain_goes_and_the_rest_holds() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    write_old(pool, 6).await;
    let noted = verdict(pool).await.head.expect("a head");
    write(pool, 3).await;
    sealer::work_off(pool).await.expect("sealed");
    // Sealed behind a younger one: it stays, however old it is.
    write_old(pool, 2).await;

    assert_eq!(retention::once(pool, 9).await.expect("looked"), 0);
    assert_eq!(retention::once(pool, 7).await.expect("cut"), 6);
    assert_eq!(retention::once(pool, 7).await.expect("looked again"), 0);
    let found = verdict(pool).await;
    assert_eq!((found.ok, found.from, found.verified), (true, 7, 5), "{:?}", found.broken);
    let cut = found.cut.expect("it tells of it");
    assert_eq!((cut.place, &cut.hash), (6, &noted.hash));
    // What was noted at the cut or before it is not held against the chain; another hash is.
    for (place, hash, ok) in [(6, noted.hash.clone(), true), (2, "0".repeat(64), true), (6, "0".repeat(64), false)] {
        let found = verify::verify(pool, 1, Some(&Noted { place, hash })).await.expect("a verdict");
        assert_eq!(found.ok, ok, "{place}");
    }
    write(pool, 2).await;
    assert_eq!(sealer::work_off(pool).await.expect("sealed"), 2);
    let found = verdict(pool).await;
    assert_eq!((found.ok, found.verified), (true, 7), "{:?}", found.broken);
}

#[tokio::test]
async fn nothing_else_goes() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    write_old(pool, 4).await;
    write(pool, 4).await;
    sealer::work_off(pool).await.expect("sealed");
    assert_eq!(retention::once(pool, 7).await.expect("cut"), 4);
    for statement in [
        "delete from identity.audit_event",
        "delete from identity.audit_seal where place = 6",
        "delete from identity.audit_cut",
        "update identity.audit_cut set place = 7",
        "truncate identity.audit_event",
        // Rows of today, another hash, the same place again.
        "insert into identity.audit_cut (place, before, hash)
         select place, clock_timestamp() - interval '2 years', hash from identity.audit_seal where place = 6",
        "insert into identity.audit_cut (place, before, hash)
         values (6, clock_timestamp() - interval '2 years', decode(repeat('00', 32), 'hex'))",
        "insert into identity.audit_cut (place, before, hash)
         select 4, clock_timestamp() - interval '2 years', hash from identity.audit_cut",
    ] {
        let refused = pool.execute(statement).await.expect_err(statement);
        let code = refused.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {refused}");
    }
    assert!(verdict(pool).await.ok);
}

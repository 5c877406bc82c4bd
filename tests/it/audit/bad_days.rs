//! Sealers beside each other, killed ones, late transactions, and who may not touch the books.

use kopru::audit::{
    sealer::{self, Turn},
    verify,
};
use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};

use super::{installation, sealed, shown, tamper, verdict, write};
use crate::{
    e2e::process::Process,
    support::{database::TestDatabase, hub::eventually},
};

#[tokio::test]
async fn nobody_changes_the_books_not_even_who_owns_them() {
    let database = sealed(3).await;
    for (table, set) in
        [("audit_event", "actor = 'x'"), ("audit_seal", "place = place + 10"), ("audit_head", "place = 1")]
    {
        let mut deeds = vec![format!("delete from identity.{table}"), format!("truncate identity.{table}")];
        deeds.push(format!("update identity.{table} set {set}"));
        for deed in deeds {
            let refused = database.pool.execute(AssertSqlSafe(deed.clone())).await.expect_err(&deed);
            let code = refused.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
            assert_eq!(code.as_deref(), Some("42501"), "{deed}: {refused}");
        }
    }
    assert!(verdict(&database.pool).await.ok);
}

#[tokio::test]
async fn a_row_that_is_committed_late_gets_a_late_place() {
    let database = TestDatabase::new().await;
    let mut slow = database.pool.begin().await.expect("a transaction");
    let by = kopru::audit::Actor::new("user:1", "slow");
    let entry = kopru::audit::Entry {
        action: "order.placed",
        subject_kind: "order",
        subject: "1".to_owned(),
        detail: serde_json::json!({}),
    };
    kopru::audit::record(&mut slow, by, &[entry]).await.expect("written");
    // Its id is lower than all of these.
    write(&database.pool, 5).await;
    assert_eq!(sealer::work_off(&database.pool).await.expect("sealed"), 5, "nobody waits for it");
    slow.commit().await.expect("committed");
    assert_eq!(sealer::work_off(&database.pool).await.expect("sealed"), 1);
    let place: i64 = sqlx::query_scalar(
        "select s.place from identity.audit_seal s join identity.audit_event e on e.id = s.event_id
         where e.correlation_id = 'slow'",
    )
    .fetch_one(&database.pool)
    .await
    .expect("a place");
    assert_eq!((place, verdict(&database.pool).await.verified), (6, 6));
}

#[tokio::test]
async fn a_sealer_holds_up_no_transaction_and_none_holds_it_up() {
    let database = sealed(2).await;
    write(&database.pool, 2).await;
    // A turn that stands still in the middle: the seals cannot be written.
    let mut wall = PgConnection::connect(&database.url).await.expect("a connection");
    wall.execute("begin; lock table identity.audit_seal in share mode").await.expect("locked");
    let pool = database.pool.clone();
    let standing = tokio::spawn(async move { sealer::turn(&pool).await });
    eventually("the sealer stands", || stands(&database.pool)).await;
    write(&database.pool, 3).await;
    assert_eq!(sealer::turn(&database.pool).await.expect("a turn"), Turn::Elsewhere, "one at a time");
    wall.execute("rollback").await.expect("unlocked");
    assert_eq!(standing.await.expect("ended").expect("sealed"), Turn::Sealed(2));
    assert_eq!(sealer::work_off(&database.pool).await.expect("sealed"), 3);
    assert_eq!(verdict(&database.pool).await.verified, 7);
}

async fn stands(pool: &PgPool) -> bool {
    let waiting = "select exists (select from pg_locks
                   where not granted and relation = 'identity.audit_seal'::regclass)";
    sqlx::query_scalar(waiting).fetch_one(pool).await.expect("locks")
}

#[tokio::test]
async fn a_sealer_that_is_killed_in_the_middle_leaves_all_as_it_was() {
    let database = sealed(2).await;
    write(&database.pool, 4).await;
    for _ in 0..3 {
        let mut wall = PgConnection::connect(&database.url).await.expect("a connection");
        wall.execute("begin; lock table identity.audit_seal in share mode").await.expect("locked");
        let pool = database.pool.clone();
        let standing = tokio::spawn(async move { sealer::turn(&pool).await });
        eventually("the sealer stands", || stands(&database.pool)).await;
        database.cut_connections().await;
        standing.await.expect("ended").expect_err("its connection was cut");
    }
    let found = verdict(&database.pool).await;
    assert_eq!((found.ok, found.verified, found.unsealed.count), (true, 2, 4));
    assert_eq!(sealer::work_off(&database.pool).await.expect("sealed"), 4);
    assert_eq!(verdict(&database.pool).await.verified, 6);
}

#[tokio::test]
async fn ten_thousand_rows_are_sealed_by_many_at_once_and_each_once() {
    let database = TestDatabase::new().await;
    let writers = (0..4).map(|_| {
        let pool = database.pool.clone();
        async move {
            for _ in 0..5 {
                write(&pool, 500).await;
            }
        }
    });
    let sealers = (0..3).map(|_| {
        let pool = database.pool.clone();
        async move {
            let mut sealed = 0;
            for _ in 0..20 {
                sealed += sealer::work_off(&pool).await.expect("sealed");
            }
            sealed
        }
    });
    let (_, sealed) = tokio::join!(futures::future::join_all(writers), futures::future::join_all(sealers));
    let rest = sealer::work_off(&database.pool).await.expect("sealed");
    assert_eq!(sealed.into_iter().sum::<usize>() + rest, 10_000);
    let kopru = installation(&database);
    let found = shown(&kopru, &[], 0);
    assert_eq!((&found["verified"], &found["unsealed"]["count"]), (&10_000.into(), &0.into()), "{found}");
    let place = "update identity.audit_event set subject_kind = 'x'
                 where id = (select event_id from identity.audit_seal where place = 7321)";
    tamper(&database.pool, place).await;
    let found = shown(&kopru, &[], 1);
    assert_eq!((&found["verified"], &found["broken"]["place"]), (&7_320.into(), &7_321.into()), "{found}");
}

#[tokio::test]
async fn a_daemon_seals_by_itself_and_the_doctor_tells_who_waits() {
    let database = TestDatabase::new().await;
    let kopru = installation(&database);
    kopru.write("config.toml", &format!("[database]\nurl = \"{}\"\n[http]\nlisten = \"127.0.0.1:0\"\n", database.url));
    let audit = |doctor: &serde_json::Value| {
        let checks = doctor["checks"].as_array().expect("checks");
        checks.iter().find(|check| check["name"] == "audit").expect("the check").clone()
    };
    let long_ago =
        "insert into identity.audit_event (id, at, actor, action, subject_kind, subject, correlation_id, detail)
                    values (gen_random_uuid(), now() - interval '1 hour', 'hub', 'a.b', 'c', 'd', 'e', '{}')";
    database.pool.execute(long_ago).await.expect("a row");
    let waits = audit(&kopru.run(&["--json", "doctor"]).expect(0).json());
    assert_eq!(waits["verdict"], "info", "{waits}");
    let mut daemon = Process::start(kopru.command(&["serve"]), kopru.path(), "serve");
    eventually("it is sealed", || async {
        verify::head(&database.pool).await.expect("a head").expect("a head").place == 1
    })
    .await;
    assert_eq!(audit(&kopru.run(&["--json", "doctor"]).expect(0).json())["verdict"], "ok");
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    let log = daemon.log();
    assert!(log.contains("the audit rows are sealed up to here") && log.contains("place=1"), "{log}");
}

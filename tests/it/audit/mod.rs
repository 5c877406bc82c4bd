//! The chain that seals audit rows: what it finds, and that nothing else stops or splits it.

mod bad_days;
mod broken;
mod retention;

use kopru::audit::{self, Actor, Entry, sealer, verify};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, PgPool};

use crate::support::{database::TestDatabase, kopru::Kopru};

/// Rows of one transaction.
async fn write(pool: &PgPool, rows: usize) {
    let entries: Vec<Entry> = (0..rows)
        .map(|number| Entry {
            action: "order.placed",
            subject_kind: "order",
            subject: number.to_string(),
            detail: json!({ "total": "1234.5600", "note": "ş\u{1f600}", "lines": [1, 2.50, null] }),
        })
        .collect();
    let by = Actor::new("user:7", "test");
    audit::record(&mut pool.acquire().await.expect("a connection"), by, &entries).await.expect("written");
}

async fn sealed(rows: usize) -> TestDatabase {
    let database = TestDatabase::new().await;
    write(&database.pool, rows).await;
    assert_eq!(sealer::work_off(&database.pool).await.expect("sealed"), rows);
    database
}

/// As somebody who owns the tables does it.
async fn tamper(pool: &PgPool, statement: &str) {
    let tables = ["audit_event", "audit_seal", "audit_head"];
    let switch = |how: &str| tables.map(|table| format!("alter table identity.{table} {how} trigger user;")).concat();
    let all = format!("{} {statement}; {}", switch("disable"), switch("enable"));
    pool.execute(AssertSqlSafe(all)).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

async fn verdict(pool: &PgPool) -> verify::Verdict {
    verify::verify(pool, 1, None).await.expect("a verdict")
}

/// The program beside this database.
fn installation(database: &TestDatabase) -> Kopru {
    let kopru = Kopru::new();
    kopru.write("config.toml", &format!("[database]\nurl = \"{}\"\n", database.url));
    kopru
}

fn shown(kopru: &Kopru, more: &[&str], code: i32) -> Value {
    kopru.run(&[&["--json", "audit", "verify"][..], more].concat()).expect(code).json()
}

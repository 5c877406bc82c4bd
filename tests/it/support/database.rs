//! A database of its own for each test, copied from a template that is migrated once per set of migrations.
//!
//! `KOPRU_TEST_DATABASE_URL` names a server and a role that may create databases; `make test` starts one.

use std::{
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
};

use kopru::database::{MIGRATOR, session};
use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub struct TestDatabase {
    pub pool: PgPool,
    pub url: String,
    name: String,
}

static COUNTER: AtomicU32 = AtomicU32::new(0);

#[expect(clippy::disallowed_methods, reason = "the one place in the tests that reads the environment")]
pub fn server_url() -> String {
    std::env::var("KOPRU_TEST_DATABASE_URL")
        .expect("KOPRU_TEST_DATABASE_URL is not set: run the tests through `make test`")
}

fn url_of(name: &str) -> String {
    let server = server_url();
    let (head, query) = server.split_once('?').map_or((server.as_str(), String::new()), |(h, q)| (h, format!("?{q}")));
    let base = head.rfind('/').map_or(head, |slash| &head[..slash]);
    format!("{base}/{name}{query}")
}

impl TestDatabase {
    pub async fn new() -> TestDatabase {
        let mut server = PgConnection::connect(&server_url()).await.expect("the test server answers");
        let template = template(&mut server).await;
        let name = format!("kopru_t_{}_{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        server
            .execute(AssertSqlSafe(format!("drop database if exists {name} with (force)")))
            .await
            .expect("drop leftover");
        server
            .execute(AssertSqlSafe(format!("create database {name} template {template}")))
            .await
            .expect("copy the template");
        let url = url_of(&name);
        let options = session(PgConnectOptions::from_str(&url).expect("a valid URL"));
        let pool = PgPoolOptions::new().max_connections(8).connect_with(options).await.expect("connect");
        TestDatabase { pool, url, name }
    }
}

impl TestDatabase {
    /// Ends every connection to it, as a restart of the server does: whatever is under way breaks off.
    pub async fn cut_connections(&self) {
        let mut server = PgConnection::connect(&server_url()).await.expect("the test server answers");
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
            .bind(&self.name)
            .execute(&mut server)
            .await
            .expect("cut");
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        // A runtime of its own: the test's one may be shutting down.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut server = PgConnection::connect(&server_url()).await.map_err(std::io::Error::other)?;
                server
                    .execute(AssertSqlSafe(format!("drop database if exists {name} with (force)")))
                    .await
                    .map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(())
            })
        });
        drop(dropped.join());
    }
}

/// The migrated template for exactly these migrations, made by whichever test comes first.
async fn template(server: &mut PgConnection) -> String {
    let mut fold: u64 = 0xcbf2_9ce4_8422_2325;
    for migration in MIGRATOR.iter() {
        for byte in migration.checksum.iter() {
            fold = (fold ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    let name = format!("kopru_template_{fold:016x}");
    sqlx::query("select pg_advisory_lock(7120001)").execute(&mut *server).await.expect("lock");
    let ready: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1 and not datallowconn)")
            .bind(&name)
            .fetch_one(&mut *server)
            .await
            .expect("look for the template");
    if !ready {
        server
            .execute(AssertSqlSafe(format!("drop database if exists {name} with (force)")))
            .await
            .expect("drop half a template");
        server.execute(AssertSqlSafe(format!("create database {name}"))).await.expect("create the template");
        let pool = PgPool::connect(&url_of(&name)).await.expect("connect to the template");
        kopru::database::migrate(&pool).await.expect("migrate the template");
        pool.close().await;
        server
            .execute(AssertSqlSafe(format!("alter database {name} allow_connections false")))
            .await
            .expect("close the template");
    }
    sqlx::query("select pg_advisory_unlock(7120001)").execute(&mut *server).await.expect("unlock");
    name
}

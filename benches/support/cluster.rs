//! What every measured hub is: the release binary in a directory of its own, with a private cluster there.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use sqlx::{Connection, Executor, PgConnection};

pub const KOPRU: &str = env!("CARGO_BIN_EXE_kopru");

type Outcome<T> = Result<T, Box<dyn Error>>;

pub struct Written {
    pub commerce: i64,
    pub links: i64,
}

/// The directory of a hub and the server in it.
#[derive(Clone)]
pub struct Cluster {
    dir: PathBuf,
}

impl Cluster {
    pub fn new(name: &str) -> Outcome<Cluster> {
        let dir = PathBuf::from(format!("/var/tmp/kopru-bench-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        Ok(Cluster { dir })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `kopru serve`, to be started.
    pub fn serve(&self, listen: &str) -> Command {
        let mut command = Command::new(KOPRU);
        command.current_dir(&self.dir).arg("serve");
        command.env("KOPRU__HTTP__LISTEN", listen).env("KOPRU__LOG__LEVEL", "warn");
        command
    }

    fn url_of(&self, database: &str) -> String {
        // The socket's directory stands in the server's pid file, fifth line; the port in the fourth.
        let pid_file = std::fs::read_to_string(self.dir.join("data/postgres/postmaster.pid")).unwrap_or_default();
        let mut lines = pid_file.lines().skip(3);
        let port = lines.next().unwrap_or("5432");
        let socket = lines.next().unwrap_or_default().replace('/', "%2F");
        format!("postgres://kopru@{socket}:{port}/{database}")
    }

    pub fn server_url(&self) -> String {
        self.url_of("postgres")
    }

    pub fn hub_url(&self) -> String {
        self.url_of("kopru")
    }

    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.hub_url()).await
    }

    /// Waits until a daemon has signed on.
    pub async fn ready(&self) -> Outcome<()> {
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            if let Ok(mut db) = self.connect().await
                && sqlx::query_scalar::<_, i64>("select count(*) from hub.daemon")
                    .fetch_one(&mut db)
                    .await
                    .is_ok_and(|daemons| daemons > 0)
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err("the hub did not become ready".into())
    }

    pub async fn settle(&self) -> Outcome<()> {
        let mut db = self.connect().await?;
        db.execute("vacuum analyze").await?;
        db.execute("checkpoint").await?;
        Ok(())
    }

    /// Rows inserted, updated or deleted so far, by the server's own count.
    pub async fn rows_written(&self) -> Outcome<Written> {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let mut db = self.connect().await?;
        let sum = "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint from pg_stat_user_tables where ";
        let commerce = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("{sum} schemaname = 'commerce'")))
            .fetch_one(&mut db)
            .await?;
        let links = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("{sum} relname = 'external_ref'")))
            .fetch_one(&mut db)
            .await?;
        Ok(Written { commerce, links })
    }

    pub fn remove(self) -> Outcome<()> {
        Ok(std::fs::remove_dir_all(&self.dir)?)
    }
}

/// Of a process, as long as it lives.
pub fn peak_rss_kib(process: &Child) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
}

/// Ends it as Ctrl-C does, and waits.
pub fn interrupt(process: &mut Child) -> Outcome<()> {
    let pid = rustix::process::Pid::from_child(process);
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    process.wait()?;
    Ok(())
}

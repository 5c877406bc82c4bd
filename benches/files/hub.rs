//! The hub under measurement: the release binary with a private cluster and a watched folder.

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use sqlx::{Connection, Executor, PgConnection, Row};

pub struct Hub {
    dir: PathBuf,
    serve: Child,
}

/// What became of one file.
pub struct Taken {
    pub records: i64,
    pub created: i64,
    /// From its receipt until it was put away.
    pub seconds: f64,
    pub check_seconds: f64,
}

impl Taken {
    pub fn rate(&self) -> u64 {
        (self.records as f64 / self.seconds) as u64
    }
}

impl Hub {
    pub async fn start() -> Result<Hub, Box<dyn Error>> {
        let dir = PathBuf::from(format!("/var/tmp/kopru-bench-{}-files", std::process::id()));
        std::fs::create_dir_all(dir.join("inbox"))?;
        let serve = Command::new(env!("CARGO_BIN_EXE_kopru"))
            .current_dir(&dir)
            .arg("serve")
            .env("KOPRU__HTTP__LISTEN", "127.0.0.1:0")
            .env("KOPRU__LOG__LEVEL", "warn")
            .env("KOPRU__FILES__INBOX__DIR", "inbox")
            .env("KOPRU__FILES__INBOX__INSTANCE", "logo")
            .env("KOPRU__FILES__INBOX__SETTLE_SECS", "0")
            .env("KOPRU__FILES__INBOX__EVERY_SECS", "1")
            .spawn()?;
        let hub = Hub { dir, serve };
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            if let Ok(mut db) = hub.connect().await
                && sqlx::query_scalar::<_, i64>("select count(*) from hub.daemon")
                    .fetch_one(&mut db)
                    .await
                    .is_ok_and(|daemons| daemons > 0)
            {
                return Ok(hub);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err("the hub did not become ready".into())
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

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.url_of("kopru")).await
    }

    /// Where a file is written before it is dropped.
    pub fn aside(&self) -> PathBuf {
        self.dir.join("ITEMS.xml")
    }

    /// The file that was put away.
    pub fn kept(&self) -> Result<PathBuf, Box<dyn Error>> {
        let kept = std::fs::read_dir(self.dir.join("inbox/done"))?.flatten().map(|entry| entry.path());
        let mut files = kept.filter(|path| path.extension().is_some_and(|ending| ending == "xml"));
        files.next().ok_or_else(|| "nothing was put away".into())
    }

    /// Drops a file and waits until it is put away.
    pub async fn take(&self, file: &Path) -> Result<Taken, Box<dyn Error>> {
        let mut db = self.connect().await?;
        let before: i64 = sqlx::query_scalar("select count(*) from hub.file").fetch_one(&mut db).await?;
        std::fs::rename(file, self.dir.join("inbox/ITEMS.xml"))?;
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let row = sqlx::query(
                "select state, detail, records, created, filed_at is not null as filed,
                        extract(epoch from filed_at - received_at)::float8 as seconds,
                        extract(epoch from checked_at - received_at)::float8 as check_seconds
                 from hub.file where (select count(*) from hub.file) > $1 order by id desc limit 1",
            )
            .bind(before)
            .fetch_optional(&mut db)
            .await?;
            let Some(row) = row.filter(|row| row.get("filed")) else { continue };
            if row.get::<String, _>("state") != "done" {
                return Err(format!("the file was refused: {:?}", row.get::<Option<String>, _>("detail")).into());
            }
            let (records, created) = (row.get("records"), row.get("created"));
            return Ok(Taken {
                records,
                created,
                seconds: row.get("seconds"),
                check_seconds: row.get("check_seconds"),
            });
        }
    }

    pub async fn settle(&self) -> Result<(), Box<dyn Error>> {
        let mut db = self.connect().await?;
        db.execute("vacuum analyze").await?;
        db.execute("checkpoint").await?;
        Ok(())
    }

    pub fn peak_rss_kib(&self) -> Result<u64, Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.serve.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
        Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
    }

    pub fn stop(mut self) -> Result<(), Box<dyn Error>> {
        let pid = rustix::process::Pid::from_child(&self.serve);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
        self.serve.wait()?;
        std::fs::remove_dir_all(&self.dir)?;
        Ok(())
    }
}

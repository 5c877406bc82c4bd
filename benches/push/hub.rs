//! The hub under measurement: the release binary with a private cluster, a process of its own, and a key for it.

use std::{
    error::Error,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command},
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};

const KOPRU: &str = env!("CARGO_BIN_EXE_kopru");

pub struct Written {
    pub commerce: i64,
    pub links: i64,
}

pub struct Hub {
    dir: PathBuf,
    serve: Child,
    address: String,
    key: String,
}

/// One who pushes, on a connection of its own.
#[derive(Clone)]
pub struct Sender {
    client: reqwest::Client,
    base: String,
    key: String,
}

impl Sender {
    /// The answer as it came: who sends has it, and what is done with it is no work of the hub.
    pub async fn post(&self, path: &str, body: String) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
        let request = self.client.post(format!("{}/{path}", self.base)).header("x-api-key", &self.key);
        let answer = request.header("content-type", "application/json").body(body).send().await?;
        let status = answer.status();
        let told = answer.bytes().await?;
        if status.is_success() { Ok(told) } else { Err(format!("{path}: {}", String::from_utf8_lossy(&told)).into()) }
    }
}

/// The system that pushes is configured as one that nobody calls.
const KIND: (&str, &str) = ("KOPRU__CONNECTORS__LOGO__KIND", "push");

impl Hub {
    pub async fn start() -> Result<Hub, Box<dyn Error>> {
        let dir = PathBuf::from(format!("/var/tmp/kopru-bench-push-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let serve = Command::new(KOPRU)
            .current_dir(&dir)
            .arg("serve")
            .env("KOPRU__HTTP__LISTEN", &address)
            .env("KOPRU__LOG__LEVEL", "warn")
            .env("KOPRU__RATE_LIMIT__ENABLED", "false")
            .env(KIND.0, KIND.1)
            .spawn()?;
        let mut hub = Hub { dir, serve, address, key: String::new() };
        hub.ready().await?;
        let arguments = ["api-key", "create", "--name", "bench", "--instance", "logo", "--scope", "integration:write"];
        let made =
            Command::new(KOPRU).current_dir(&hub.dir).env(KIND.0, KIND.1).args(arguments).arg("--json").output()?;
        let made: Value = serde_json::from_slice(&made.stdout)?;
        hub.key = made["key"].as_str().ok_or("no key")?.to_owned();
        Ok(hub)
    }

    async fn ready(&self) -> Result<(), Box<dyn Error>> {
        let until = Instant::now() + Duration::from_secs(60);
        let url = format!("http://{}/health/ready", self.address);
        let client = reqwest::Client::builder().build()?;
        while Instant::now() < until {
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("the hub did not become ready".into())
    }

    pub fn sender(&self) -> Result<Sender, reqwest::Error> {
        let base = format!("http://{}/api/integration", self.address);
        Ok(Sender { client: reqwest::Client::builder().build()?, base, key: self.key.clone() })
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

    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.url_of("kopru")).await
    }

    pub async fn settle(&self) -> Result<(), Box<dyn Error>> {
        let mut db = self.connect().await?;
        db.execute("vacuum analyze").await?;
        db.execute("checkpoint").await?;
        Ok(())
    }

    /// Rows inserted, updated or deleted so far, by the server's own count.
    pub async fn rows_written(&self) -> Result<Written, Box<dyn Error>> {
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

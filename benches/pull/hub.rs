//! The hub under measurement: the release binary with a private cluster and a sandbox, each a process of its own.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};

const KOPRU: &str = env!("CARGO_BIN_EXE_kopru");

pub struct Run {
    pub records: i64,
    pub seconds: f64,
}

pub struct Written {
    pub commerce: i64,
    pub links: i64,
}

pub struct Hub {
    dir: PathBuf,
    sandbox: Child,
    serve: Mutex<Child>,
    base_url: String,
    settings: Value,
    via: String,
}

impl Hub {
    pub async fn start(items: u64, via: &str) -> Result<Hub, Box<dyn Error>> {
        let dir = PathBuf::from(format!("/var/tmp/kopru-bench-{}-{via}-{items}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let mut sandbox = Command::new(KOPRU)
            .current_dir(&dir)
            .args(["sandbox", "--json", "--listen", "127.0.0.1:0", "--die-with-parent", "--items", &items.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = sandbox.stdout.take().ok_or("no output")?;
        let mut text = String::new();
        let announcement: Value = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                text.push_str(&line);
                serde_json::from_str(&text).ok()
            })
            .ok_or("the sandbox did not start")?;
        let base_url = announcement["systems"]["logo"].as_str().ok_or("no address")?.to_owned();
        let settings = announcement["settings"]["logo"].clone();
        let serve = Mutex::new(serve(&dir, &settings, via)?);
        let hub = Hub { dir, sandbox, serve, base_url, settings, via: via.to_owned() };
        hub.ready().await?;
        Ok(hub)
    }

    pub fn logo_url(&self) -> &str {
        &self.base_url
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

    async fn ready(&self) -> Result<(), Box<dyn Error>> {
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            if let Ok(mut db) = self.connect().await
                && sqlx::query_scalar::<_, i64>("select count(*) from hub.daemon")
                    .fetch_one(&mut db)
                    .await
                    .is_ok_and(|n| n > 0)
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err("the hub did not become ready".into())
    }

    /// Asks the daemon for a complete pass and waits for its end.
    pub async fn load(&self, stream: &str) -> Result<Run, Box<dyn Error>> {
        let mut db = self.connect().await?;
        let id: sqlx::types::Uuid = kopru::hub::runs::create(
            &mut db,
            &kopru::hub::runs::NewRun {
                connector: "logo",
                stream,
                pass: kopru_sdk::Pass::Full,
                trigger: kopru::hub::states::Trigger::Manual,
                dry_run: false,
                since: None,
            },
            None,
        )
        .await?;
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let run = kopru::hub::runs::get(&mut db, id).await?.ok_or("the run is gone")?;
            if let (Some(started), Some(finished)) = (run.started_at, run.finished_at) {
                if run.state != "done" {
                    return Err(format!("{stream} ended {}: {:?}", run.state, run.error).into());
                }
                let seconds = (finished - started).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6;
                return Ok(Run { records: run.records, seconds });
            }
        }
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
        let pid = self.serve.lock().map_err(|_| "poisoned")?.id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
        Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
    }

    /// Stops the daemon and starts it on the existing cluster; milliseconds until it is ready.
    pub async fn restart(&self) -> Result<u64, Box<dyn Error>> {
        let started = self.exchange()?;
        self.ready().await?;
        Ok(u64::try_from(started.elapsed().as_millis())?)
    }

    fn exchange(&self) -> Result<Instant, Box<dyn Error>> {
        let mut held = self.serve.lock().map_err(|_| "poisoned")?;
        interrupt(&mut held)?;
        let started = Instant::now();
        *held = serve(&self.dir, &self.settings, &self.via)?;
        Ok(started)
    }

    pub async fn stop(mut self) -> Result<(), Box<dyn Error>> {
        interrupt(&mut *self.serve.lock().map_err(|_| "poisoned")?)?;
        self.sandbox.kill()?;
        self.sandbox.wait()?;
        std::fs::remove_dir_all(&self.dir)?;
        Ok(())
    }
}

fn interrupt(child: &mut Child) -> Result<(), Box<dyn Error>> {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    child.wait()?;
    Ok(())
}

fn serve(dir: &PathBuf, settings: &Value, via: &str) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(KOPRU);
    command
        .current_dir(dir)
        .arg("serve")
        .env("KOPRU__HTTP__LISTEN", "127.0.0.1:0")
        .env("KOPRU__LOG__LEVEL", "warn")
        .env("KOPRU__CONNECTORS__LOGO__KIND", "logo")
        .env("KOPRU__CONNECTORS__LOGO__VIA", via);
    for (key, value) in settings.as_object().ok_or("no settings")? {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        command.env(format!("KOPRU__CONNECTORS__LOGO__{}", key.to_uppercase()), text);
    }
    // Runs are asked for one by one.
    for stream in ["group_codes", "brands", "unit_sets", "customers", "items", "prices", "stock"] {
        let prefix = format!("KOPRU__CONNECTORS__LOGO__STREAMS__{}", stream.to_uppercase());
        command.env(format!("{prefix}__ENABLED"), "false");
    }
    Ok(command.spawn()?)
}

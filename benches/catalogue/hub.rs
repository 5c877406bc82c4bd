//! What is measured: the release binary on one private cluster, and the floor beside it.

use std::{
    error::Error,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command},
    time::{Duration, Instant},
};

use sqlx::{PgPool, postgres::PgPoolOptions};

const KOPRU: &str = env!("CARGO_BIN_EXE_kopru");

/// The data directory, and a daemon that keeps the cluster alive.
pub struct Site {
    pub dir: PathBuf,
    pub pool: PgPool,
    keeper: Daemon,
}

pub struct Daemon {
    pub address: String,
    process: Child,
}

fn free_address() -> Result<String, Box<dyn Error>> {
    Ok(format!("127.0.0.1:{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()))
}

async fn ready(address: &str) -> Result<(), Box<dyn Error>> {
    let until = Instant::now() + Duration::from_secs(60);
    let client = reqwest::Client::builder().build()?;
    while Instant::now() < until {
        let url = format!("http://{address}/health/ready");
        if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(format!("{address} did not become ready").into())
}

async fn serve(dir: &PathBuf, cache_mb: Option<u64>) -> Result<Daemon, Box<dyn Error>> {
    let address = free_address()?;
    let process = Command::new(KOPRU)
        .current_dir(dir)
        .envs(cache_mb.map(|size| ("KOPRU__CATALOGUE__CACHE_MB", size.to_string())))
        .arg("serve")
        .env("KOPRU__HTTP__LISTEN", &address)
        .env("KOPRU__LOG__LEVEL", "warn")
        .env("KOPRU__RATE_LIMIT__ENABLED", "false")
        .spawn()?;
    let daemon = Daemon { address, process };
    ready(&daemon.address).await?;
    Ok(daemon)
}

impl Site {
    pub async fn start() -> Result<Site, Box<dyn Error>> {
        let dir = PathBuf::from(format!("/var/tmp/kopru-bench-catalogue-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let keeper = serve(&dir, Some(0)).await?;
        let pool = PgPoolOptions::new().max_connections(4).connect(&url_of(&dir)).await?;
        Ok(Site { dir, pool, keeper })
    }

    /// A hub that keeps so many megabytes of the catalogue, or as many as it does by itself.
    pub async fn daemon(&self, cache_mb: Option<u64>) -> Result<Daemon, Box<dyn Error>> {
        serve(&self.dir, cache_mb).await
    }

    pub async fn floor(&self) -> Result<Daemon, Box<dyn Error>> {
        let address = free_address()?;
        let process =
            Command::new(std::env::current_exe()?).args(["--floor", &address, "--url", &url_of(&self.dir)]).spawn()?;
        let daemon = Daemon { address, process };
        ready(&daemon.address).await?;
        Ok(daemon)
    }

    pub async fn stop(self) -> Result<(), Box<dyn Error>> {
        self.pool.close().await;
        Daemon::stop(self.keeper)?;
        std::fs::remove_dir_all(&self.dir)?;
        Ok(())
    }
}

fn url_of(dir: &std::path::Path) -> String {
    // The socket's directory stands in the server's pid file, fifth line; the port in the fourth.
    let pid_file = std::fs::read_to_string(dir.join("data/postgres/postmaster.pid")).unwrap_or_default();
    let mut lines = pid_file.lines().skip(3);
    let port = lines.next().unwrap_or("5432");
    let socket = lines.next().unwrap_or_default().replace('/', "%2F");
    format!("postgres://kopru@{socket}:{port}/kopru")
}

impl Daemon {
    /// Answers that were kept, and answers that were read.
    pub async fn hits(&self) -> Result<(f64, f64), Box<dyn Error>> {
        let text = reqwest::get(format!("http://{}/metrics", self.address)).await?.text().await?;
        let of = |outcome: &str| {
            let start = format!("kopru_catalogue_cache_total{{outcome=\"{outcome}\"}}");
            let line = text.lines().find_map(|line| line.strip_prefix(&start));
            line.and_then(|figure| figure.trim().parse().ok()).unwrap_or(0.0)
        };
        Ok((of("hit"), of("miss")))
    }

    pub fn peak_rss_kib(&self) -> Result<u64, Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
        Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
    }

    pub fn stop(mut self) -> Result<(), Box<dyn Error>> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
        self.process.wait()?;
        Ok(())
    }
}

//! The hub under measurement: the release binary with a private cluster and a sandbox, each a process of its own.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::{
    error::Error,
    io::{BufRead, BufReader},
    ops::Deref,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::cluster::{Cluster, KOPRU, interrupt, peak_rss_kib};

pub struct Run {
    pub records: i64,
    pub seconds: f64,
}

pub struct Hub {
    cluster: Cluster,
    sandbox: Child,
    serve: Mutex<Child>,
    base_url: String,
    settings: Value,
    via: String,
}

impl Deref for Hub {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Hub {
    pub async fn start(items: u64, via: &str) -> Result<Hub, Box<dyn Error>> {
        Hub::start_with(items, via, None).await
    }

    /// With a LOGO of other habits.
    pub async fn start_with(items: u64, via: &str, switches: Option<&Value>) -> Result<Hub, Box<dyn Error>> {
        let cluster = Cluster::new(&format!("{via}-{items}"))?;
        let mut sandbox = Command::new(KOPRU)
            .current_dir(cluster.dir())
            .args(["sandbox", "--json", "--listen", "127.0.0.1:0", "--die-with-parent", "--items", &items.to_string()])
            .args(switches.iter().flat_map(|switches| ["--switches".to_owned(), switches.to_string()]))
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
        let serve = Mutex::new(serve(&cluster, &settings, via)?);
        let hub = Hub { cluster, sandbox, serve, base_url, settings, via: via.to_owned() };
        hub.ready().await?;
        Ok(hub)
    }

    pub fn logo_url(&self) -> &str {
        &self.base_url
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

    pub fn peak_rss_kib(&self) -> Result<u64, Box<dyn Error>> {
        peak_rss_kib(&*self.serve.lock().map_err(|_| "poisoned")?)
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
        *held = serve(&self.cluster, &self.settings, &self.via)?;
        Ok(started)
    }

    pub async fn stop(mut self) -> Result<(), Box<dyn Error>> {
        interrupt(&mut *self.serve.lock().map_err(|_| "poisoned")?)?;
        self.sandbox.kill()?;
        self.sandbox.wait()?;
        self.cluster.remove()
    }
}

fn serve(cluster: &Cluster, settings: &Value, via: &str) -> Result<Child, Box<dyn Error>> {
    let mut command = cluster.serve("127.0.0.1:0");
    command.env("KOPRU__CONNECTORS__LOGO__KIND", "logo").env("KOPRU__CONNECTORS__LOGO__VIA", via);
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

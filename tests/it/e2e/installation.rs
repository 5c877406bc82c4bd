//! One hub as somebody would install it: a directory, a database, a configuration, a LOGO.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use kopru::seal::Sealer;
use rustix::process::Signal;
use serde_json::{Map, Value};
use sqlx::SqlSafeStr;

use super::{
    process::{PATIENCE, Process},
    sandbox::Sandbox,
};
use crate::support::{
    database::TestDatabase,
    kopru::{Kopru, Run},
};

/// The streams that item cards refer to, and the cards.
pub const CATALOGUE: [&str; 4] = ["group_codes", "brands", "unit_sets", "items"];
pub const STREAMS: [&str; 7] = ["group_codes", "brands", "unit_sets", "customers", "items", "prices", "stock"];

/// All of [`STREAMS`] have been read once.
pub const EVERYTHING_LOADED: &str = "select count(*) = 7 from hub.stream
                                     where last_full_at is not null and stream not in ('orders', 'invoices', 'ledger')";
/// What becomes of orders.
pub const DOCUMENTS: [&str; 3] = ["orders", "invoices", "ledger"];

/// The variable of the environment that holds a key of the configuration.
fn variable(key: &str) -> String {
    format!("KOPRU__{}", key.replace('.', "__").to_uppercase())
}

/// What a test wants to be different from the defaults.
pub struct Setup {
    items: u64,
    switches: Map<String, Value>,
    variables: Vec<(String, String)>,
    mail: bool,
}

impl Setup {
    pub fn items(items: u64) -> Setup {
        Setup { items, switches: Map::new(), variables: Vec::new(), mail: false }
    }

    /// A key of the configuration, through the environment.
    pub fn set(mut self, key: &str, value: impl ToString) -> Setup {
        self.variables.push((variable(key), value.to_string()));
        self
    }

    /// Mails go to the simulated server.
    pub fn with_mail(mut self) -> Setup {
        self.mail = true;
        self
    }

    /// A setting of the connector.
    pub fn logo(self, key: &str, value: impl ToString) -> Setup {
        self.set(&format!("connectors.logo.{key}"), value)
    }

    /// How often the daemon polls these streams.
    pub fn every(self, streams: &[&str], seconds: u32) -> Setup {
        streams.iter().fold(self, |setup, stream| setup.logo(&format!("streams.{stream}.every_secs"), seconds))
    }

    /// Only these streams are polled.
    pub fn only(self, streams: &[&str]) -> Setup {
        let others = STREAMS.iter().chain(&DOCUMENTS).filter(|stream| !streams.contains(stream));
        others.fold(self, |setup, stream| setup.logo(&format!("streams.{stream}.enabled"), false))
    }

    /// A switch of the simulated LOGO.
    pub fn switch(mut self, name: &str, value: impl Into<Value>) -> Setup {
        self.switches.insert(name.to_owned(), value.into());
        self
    }

    pub async fn start(self) -> Installation {
        let kopru = Kopru::new();
        let (database, sandbox) =
            tokio::join!(TestDatabase::new(), Sandbox::start(&kopru, self.items, Value::Object(self.switches)));
        let mut text = format!(
            "[database]\nurl = {}\n[http]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n\
             [hub]\nfull_at = \"\"\n[retry]\ndelays_secs = [0, 0, 1, 2, 4]\n\
             [connectors.logo]\nrate_per_second = 0\n",
            toml::Value::from(database.url.as_str())
        );
        for (key, value) in sandbox.settings.iter().filter(|(key, _)| *key != "rate_per_second") {
            let value = value.as_str().map_or_else(|| value.to_string(), |text| toml::Value::from(text).to_string());
            text.push_str(&format!("{key} = {value}\n"));
        }
        kopru.write("config.toml", &text);
        let mut variables = self.variables;
        if self.mail {
            let key = kopru.path().join("master.key");
            Sealer::read_or_make(&key).expect("a key");
            let mut set = |key: &str, value: String| variables.push((format!("KOPRU__{key}"), value));
            set("HTTP__PUBLIC_URL", "https://bayi.example.com".to_owned());
            set("AUTH__MASTER_KEY_FILE", key.display().to_string());
            set("MAIL__HOST", sandbox.mail.ip().to_string());
            set("MAIL__PORT", sandbox.mail.port().to_string());
            set("MAIL__TLS", "plain".to_owned());
            set("MAIL__FROM", "Köprü <kopru@example.com>".to_owned());
        }
        Installation { sandbox, database, variables, daemons: AtomicU32::new(0), kopru }
    }
}

pub struct Installation {
    pub sandbox: Sandbox,
    pub database: TestDatabase,
    variables: Vec<(String, String)>,
    daemons: AtomicU32,
    // Last, so that its directory outlives the processes.
    pub kopru: Kopru,
}

/// A `kopru serve` that is up.
pub struct Daemon {
    pub process: Process,
    pub address: String,
}

impl Daemon {
    /// Stops it in good order.
    #[track_caller]
    pub fn stop(mut self) {
        self.process.signal(Signal::TERM);
        assert!(self.process.ended().success(), "{}", self.process.log());
    }
}

impl Installation {
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.kopru.command(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().expect("kopru runs").into()
    }

    /// `kopru sync run logo.STREAM …`, as JSON.
    #[track_caller]
    pub fn sync(&self, stream: &str, more: &[&str]) -> Value {
        let target = format!("logo.{stream}");
        self.run(&[&["sync", "run", &target, "--json"], more].concat()).expect(0).json()
    }

    /// Runs streams one after the other.
    #[track_caller]
    pub fn load(&self, streams: &[&str]) {
        for stream in streams {
            let run = self.sync(stream, &[]);
            assert_eq!((&run["state"], &run["failed"]), (&"done".into(), &0.into()), "{run}");
        }
    }

    /// Starts a daemon; it may still be on its way up.
    pub fn launch(&self) -> Process {
        let number = self.daemons.fetch_add(1, Ordering::Relaxed);
        Process::start(self.command(&["serve"]), self.kopru.path(), &format!("daemon-{number}"))
    }

    pub async fn daemon(&self) -> Daemon {
        let mut process = self.launch();
        let address = process
            .shows("being ready", |process| {
                let log = process.log();
                let told = |line: &str| serde_json::from_str::<Value>(line).ok();
                log.lines().filter_map(told).find(|line| line["message"] == "ready")?["address"]
                    .as_str()
                    .map(|address| format!("http://{address}"))
            })
            .await;
        Daemon { process, address }
    }

    /// The single number that a query answers.
    pub async fn number(&self, sql: impl SqlSafeStr) -> i64 {
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&self.database.pool).await.expect("a number")
    }

    /// The texts that a query answers.
    pub async fn texts(&self, sql: impl SqlSafeStr) -> Vec<String> {
        sqlx::query_scalar::<_, String>(sql).fetch_all(&self.database.pool).await.expect("texts")
    }

    /// From now on another configuration.
    pub fn change(&mut self, key: &str, value: impl ToString) {
        let name = variable(key);
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_string()));
    }

    /// Waits until a query of a truth value says yes.
    pub async fn until(&self, what: &str, sql: &'static str) {
        self.until_within(PATIENCE, what, sql).await;
    }

    pub async fn until_within(&self, patience: Duration, what: &str, sql: &'static str) {
        let since = Instant::now();
        loop {
            match sqlx::query_scalar::<_, bool>(sql).fetch_one(&self.database.pool).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| !code.starts_with("57P")) => {
                    panic!("{what}: {error}")
                }
                // The test has taken the database away.
                Err(_) => {}
            }
            assert!(since.elapsed() < patience, "waited in vain until {what}: {}", self.picture().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What stands in the hub's tables, for whoever reads a failure.
    pub async fn picture(&self) -> String {
        let lines = self
            .texts(
                "select concat_ws(' ', 'run', stream, pass, trigger, state, records, 'c', created, 'u', updated, '=',
                                  unchanged, 'd', deferred, 'f', failed, error) from (select * from hub.run order by id desc limit 15) r
                 union all select concat_ws(' ', 'breaker', connector, state, faults_in_a_row, last_fault) from hub.breaker
                 union all select concat_ws(' ', 'stream', stream, paused_reason, last_error) from hub.stream
                                  where paused_at is not null or last_error is not null
                 union all select concat_ws(' ', 'letter', entity, key, cause, reason, field, value, detail) from hub.dead_letter
                 union all select concat_ws(' ', 'open', entity, state, count(*)) from hub.message group by entity, state
                 union all select concat_ws(' ', 'links', entity, count(*)) from hub.external_ref group by entity
                 union all select concat_ws(' ', 'lease', name, owner, expires_at - clock_timestamp()) from hub.lease",
            )
            .await;
        lines.join("\n")
    }
}

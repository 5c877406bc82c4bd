//! A hub in process: an engine over a scripted system, small mappings and a database of its own.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use kopru::{
    canonical::Entity,
    clock::Clock,
    hub::{
        engine::{Engine, EngineSettings, Handler, Instance, Stream},
        push_only::{self, PushOnly},
        retry::RetrySchedule,
        runs::{self, NewRun, Run},
        scheduler,
        states::Trigger,
        sweeps::SweepPolicy,
        worker,
    },
    mapping::Library,
    principal::Role,
};
use kopru_sdk::{Pass, StreamSpec};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};

use super::{
    database::TestDatabase,
    people,
    system::{System, TestConnector},
};

/// The instance's name.
pub const ERP: &str = "erp";

const HEAD: &str = r#"
[records]
json = "items"
[defaults]
transforms = ["trim", "null_if_empty"]
absent = "keep"
[key]
from = "code"
[external_id]
from = "id"
[version]
kind = "test.version"
from = [{ number = "version" }]
[fields.name]
from = "name"
"#;

/// A product's brand is waited for, its category is made, its unit set must be there.
const PRODUCT: &str = r#"
[fields.sku]
from = ["sku", "code"]
[fields.barcode]
from = "barcode"
[fields.vatRate]
from = "vat"
[fields.description]
from = "description"
[fields.brand]
from = "brand"
on_missing = "defer"
[fields.category]
from = "category"
on_missing = "create"
[fields.unitSet]
from = "unitSet"
on_missing = "fail"
"#;

const CATEGORY: &str = r#"
[fields.parent]
from = "parent"
on_missing = "defer"
"#;

/// Stock has no name and no code of its own: it is known by product and warehouse.
const STOCK: &str = r#"
entity = "stock"
[records]
json = "items"
[key]
from = "code"
[version]
kind = "test.version"
from = [{ number = "version" }]
[fields.product]
from = "product"
on_missing = "defer"
[fields.warehouse]
from = "warehouse"
on_missing = "create"
[fields.quantity]
from = "quantity"
"#;

/// The mapping files, by their path below the directory.
pub fn mapping_files() -> Vec<(&'static str, String)> {
    let text = |entity: &str, rest: &str| format!("entity = \"{entity}\"\n{HEAD}{rest}");
    vec![
        ("test/brands.toml", text("brand", "")),
        ("test/warehouses.toml", text("warehouse", "")),
        ("test/categories.toml", text("category", CATEGORY)),
        ("test/made_categories.toml", text("category", &CATEGORY.replace("defer", "create"))),
        ("test/products.toml", text("product", PRODUCT)),
        ("test/stock.toml", STOCK.to_owned()),
    ]
}

pub fn library() -> Library {
    let files = mapping_files();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    Library::from_texts(&files).unwrap_or_else(|problems| panic!("{problems:?}"))
}

pub fn streams() -> Vec<StreamSpec> {
    let spec = |name, mapping, after| StreamSpec { name, mapping, after, incremental: true, every_secs: 3600 };
    vec![
        spec("brands", "test/brands", &[]),
        spec("warehouses", "test/warehouses", &[]),
        spec("categories", "test/categories", &[]),
        spec("made_categories", "test/made_categories", &[]),
        spec("products", "test/products", &[]),
        spec("stock", "test/stock", &[]),
        // Of LOGO's own mappings, for who loads those.
        spec("orders", "logo/orders", &[]),
        spec("invoices", "logo/invoices", &[]),
        spec("ledger", "logo/ledger", &[]),
        spec("levels", "logo/stock", &[]),
    ]
}

/// Waits that are over before anybody notices, leases that outlast a slow machine.
pub fn settings() -> EngineSettings {
    EngineSettings {
        retry: RetrySchedule { delays: vec![Duration::from_millis(5); 5], jitter: 0.0, ..RetrySchedule::default() },
        breaker_threshold: 3,
        probe_after: Duration::from_millis(50),
        lease: Duration::from_secs(30),
        heartbeat: Duration::from_millis(200),
        release_per_second: 1_000_000.0,
        ..EngineSettings::default()
    }
}

/// An engine without systems, for what only has to be there.
pub fn bare_engine(pool: &PgPool) -> Engine {
    Engine::new(pool.clone(), Clock::system(), Arc::default(), Vec::new(), Vec::new(), settings()).expect("an engine")
}

/// What a test says about its hub before it is built.
pub struct Build {
    pub settings: EngineSettings,
    /// Streams that poll by themselves when the daemon runs.
    pub polled: &'static [&'static str],
    /// Streams that know no other pass than a complete one.
    pub whole: &'static [&'static str],
    pub every: Duration,
    pub exclusive: bool,
    pub master: Option<Vec<Entity>>,
    pub handlers: Vec<Arc<dyn Handler>>,
    pub library: Arc<Library>,
    pub sweep: SweepPolicy,
    /// Further instances, which only push.
    pub beside: &'static [&'static str],
}

impl Default for Build {
    fn default() -> Build {
        Build {
            settings: settings(),
            polled: &["brands", "warehouses", "categories", "made_categories", "products", "stock"],
            whole: &[],
            every: Duration::from_secs(3600),
            exclusive: false,
            master: None,
            handlers: Vec::new(),
            library: Arc::new(library()),
            sweep: SweepPolicy::default(),
            beside: &[],
        }
    }
}

impl Build {
    /// An engine over `pool`, as a process of its own would have it. `name`: of its instance.
    pub fn engine(&self, pool: &PgPool, system: &Arc<System>, name: &str) -> Engine {
        let mut specs: Vec<StreamSpec> =
            streams().into_iter().filter(|spec| self.polled.contains(&spec.name)).collect();
        for spec in specs.iter_mut().filter(|spec| self.whole.contains(&spec.name)) {
            spec.incremental = false;
        }
        let instance = Instance {
            name: name.to_owned(),
            kind: "test".to_owned(),
            connector: Arc::new(TestConnector { system: Arc::clone(system), streams: specs.clone() }),
            exclusive: self.exclusive,
            master: self.master.clone(),
            send: None,
            streams: specs
                .into_iter()
                .map(|spec| Stream {
                    enabled: true,
                    every: self.every,
                    full_at: None,
                    mapping: spec.mapping.to_owned(),
                    sweep: self.sweep,
                    spec,
                })
                .collect(),
        };
        let beside = self.beside.iter().map(|name| Instance {
            name: (*name).to_owned(),
            kind: push_only::KIND.to_owned(),
            connector: Arc::new(PushOnly),
            exclusive: false,
            master: None,
            send: None,
            streams: Vec::new(),
        });
        let instances = std::iter::once(instance).chain(beside).collect();
        let (library, handlers) = (Arc::clone(&self.library), self.handlers.clone());
        Engine::new(pool.clone(), Clock::system(), library, instances, handlers, self.settings.clone())
            .expect("an engine")
    }
}

pub struct Hub {
    pub database: TestDatabase,
    pub system: Arc<System>,
    pub engine: Engine,
    pub build: Build,
}

impl Hub {
    pub async fn new() -> Hub {
        Hub::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Build)) -> Hub {
        let mut build = Build::default();
        change(&mut build);
        let database = TestDatabase::new().await;
        let system = Arc::new(System::default());
        let engine = build.engine(&database.pool, &system, ERP);
        Hub { database, system, engine, build }
    }

    /// Another process on the same database.
    pub fn beside(&self) -> Engine {
        self.build.engine(&self.database.pool, &self.system, ERP)
    }

    pub fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    /// The access token of a new user of this role; a dealer's belongs to a company.
    pub async fn token(&self, role: Role, company: Option<i64>) -> String {
        people::signed_in(self.pool(), &self.engine.clock, role, company).await.1
    }

    /// A run from beginning to end, as `sync run` does it without a daemon.
    pub async fn run(&self, stream: &str, pass: Pass) -> Run {
        self.run_by(&self.engine, stream, pass, false).await
    }

    pub async fn full(&self, stream: &str, pages: impl IntoIterator<Item = String>) -> Run {
        self.system.full(stream, pages);
        self.run(stream, Pass::Full).await
    }

    pub async fn changes(&self, stream: &str, pages: impl IntoIterator<Item = String>) -> Run {
        self.system.changes(stream, pages);
        self.run(stream, Pass::Incremental).await
    }

    pub async fn run_by(&self, engine: &Engine, stream: &str, pass: Pass, dry_run: bool) -> Run {
        let connector = engine.instance_names().remove(0);
        let new = NewRun { connector: &connector, stream, pass, trigger: Trigger::Manual, dry_run, since: None };
        let id = runs::create(self.pool(), &new, None).await.expect("a run");
        let worked = scheduler::run_alone(engine, id).await.expect("the run ends");
        assert_eq!(worked, scheduler::Alone::Worked, "{stream} is free");
        runs::get(self.pool(), id).await.expect("the store").expect("the run is there")
    }

    /// Works the queue until nothing is due.
    pub async fn work(&self) -> usize {
        let mut worked = 0;
        loop {
            match worker::turn(&self.engine).await.expect("a turn") {
                0 => return worked,
                some => worked += some,
            }
        }
    }

    /// The rows of a query as JSON.
    pub async fn rows(&self, sql: &str) -> Vec<Value> {
        sqlx::query_scalar(AssertSqlSafe(format!("select to_jsonb(t) from ({sql}) t")))
            .fetch_all(self.pool())
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub async fn row(&self, sql: &str) -> Value {
        let mut rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.remove(0)
    }

    pub async fn count(&self, from: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {from}")))
            .fetch_one(self.pool())
            .await
            .unwrap_or_else(|error| panic!("{from}: {error}"))
    }

    pub async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(self.pool())
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Every row of everything that records leave behind, by the transaction that wrote it: equal before and after
    /// means that nothing was written, not even a row with the same content.
    pub async fn footprint(&self) -> BTreeMap<String, Option<String>> {
        let tables: Vec<String> = sqlx::query_scalar(
            "select format('%I.%I', schemaname, tablename) from pg_tables
             where schemaname in ('commerce', 'hub')
               and tablename not in ('run', 'cursor', 'lease', 'breaker', 'stream', 'daemon', 'daemon_mapping')",
        )
        .fetch_all(self.pool())
        .await
        .expect("tables");
        let mut print = BTreeMap::new();
        for table in tables {
            let rows = sqlx::query_scalar(AssertSqlSafe(format!(
                "select md5(string_agg(concat(tableoid, ctid, xmin, t), ',' order by tableoid, ctid)) from {table} t"
            )))
            .fetch_one(self.pool())
            .await
            .expect("rows");
            print.insert(table, rows);
        }
        print
    }

    pub async fn eventually<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        eventually(what, &mut holds).await;
    }
}

/// Waits for something to become true, and says what it was when it does not.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

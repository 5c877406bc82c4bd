//! Filters over a million dead letters: how long a person waits for a page of them. `cargo bench --bench letters`.
//!
//! Measured: the first page of 20 and the bounded count, by every single filter and by what is usually asked for
//! together, 50 times each with other values; a page in the middle; the groups. On a private PostgreSQL, or with
//! `-- --url postgres://…` in a database of its own there.

use std::{error::Error, process::ExitCode, str::FromStr, time::Instant};

use clap::Parser;
use kopru::{
    config::{Config, Sources},
    database::Database,
    hub::dead_letters::{self, Filter},
};
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, postgres::PgConnectOptions};

#[derive(Debug, Parser)]
struct Options {
    /// Letters.
    #[arg(long, default_value_t = 1_000_000)]
    letters: i64,
    /// How often each filter is asked.
    #[arg(long, default_value_t = 50)]
    rounds: i64,
    /// A server whose role may create databases, instead of a private one.
    #[arg(long)]
    url: Option<String>,
    #[arg(long)]
    json: bool,
    /// `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figure {
    filter: String,
    found: usize,
    list_p50_ms: f64,
    list_p95_ms: f64,
    count_p50_ms: f64,
    count_p95_ms: f64,
}

/// Terms of a filter; `{n}` is another number each time, `{id}` a UUID made of it.
const FILTERS: &[&str] = &[
    "",
    "connector=logo",
    "connector=logo_izmir",
    "connector=none",
    "stream=items",
    "stream=stock",
    "entity=customer",
    "kind=note.deliver",
    "cause=data",
    "cause=remote",
    "reason=missing_reference",
    "reason=transient",
    "reason=none",
    "field=unit",
    "field=none",
    "fingerprint={fingerprint}",
    "code=K{n8}",
    "code_prefix=K{n5}",
    "code_prefix=K{n3}",
    "code_prefix=K",
    "mapping=logo/prices",
    "correlation=run-{n}",
    "run=00000000-0000-7000-8000-0000000{hex5}",
    "message=00000000-0000-7000-8000-0000000{hex5}",
    "missing=MARKA-{n}",
    "state=replaying",
    "state=dead",
    "since={recent}",
    "until={old}",
    "attempts=2",
    "attempts=6",
    "attempts=9",
    "text=MARKA-{n}",
    "text=required",
    "text=10.0.0.{n}",
    "text=nowhere",
    "connector=logo,stream=items",
    "connector=logo_izmir,reason=transient",
    "stream=items,reason=missing_reference",
    "stream=stock,reason=transient",
    "stream=customers,reason=none",
    "entity=price,reason=too_long",
    "connector=logo,stream=prices,cause=data,state=dead",
    "reason=unmapped_code,field=unit",
    "stream=items,since={recent}",
    "reason=missing_reference,until={old}",
    "stream=items,code_prefix=K{n5}",
    "stream=items,attempts=3",
    "reason=missing_reference,text=MARKA-{n}",
];

fn spelled(template: &str, round: i64, letters: i64, fingerprints: &[String]) -> Result<Filter, String> {
    let n = (round * 7919 + 13) % letters;
    let fingerprint = &fingerprints[usize::try_from(round).unwrap_or(0) % fingerprints.len()];
    let terms = template
        .replace("{fingerprint}", fingerprint)
        .replace("{n8}", &format!("{:08}", (n * 101) % letters))
        .replace("{n5}", &format!("{:05}", ((n * 101) % letters) / 1000))
        .replace("{n3}", &format!("{:03}", ((n * 101) % letters) / 100_000))
        .replace("{hex5}", &format!("{:05x}", n % (letters / 500 + 1)))
        .replace("{n}", &(n % 250).to_string())
        .replace("{recent}", &at(letters, letters / 100))
        .replace("{old}", &at(letters, letters - letters / 10));
    let mut filter = Filter::default();
    for term in terms.split(',').filter(|term| !term.is_empty()) {
        let (key, value) = term.split_once('=').ok_or("a term")?;
        filter.set(key, value)?;
    }
    Ok(filter)
}

/// The time of the letter that is the `back`th from the newest; the seed makes one each two seconds.
#[expect(clippy::disallowed_methods, reason = "a program of its own; the seed ends now")]
fn at(_letters: i64, back: i64) -> String {
    (chrono::Utc::now() - chrono::TimeDelta::seconds(back * 2)).to_rfc3339()
}

fn percentile(times: &mut [f64], of: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let place = ((times.len() as f64) * of).ceil() as usize;
    times[place.clamp(1, times.len()) - 1]
}

async fn measure(pool: &PgPool, options: &Options) -> Result<Vec<Figure>, Box<dyn Error>> {
    let groups = dead_letters::groups(pool, &Filter::default(), 200).await?;
    let fingerprints: Vec<String> = groups.into_iter().map(|group| group.fingerprint).collect();
    let mut figures = Vec::new();
    for template in FILTERS {
        let (mut lists, mut counts, mut found) = (Vec::new(), Vec::new(), 0);
        for round in 0..options.rounds {
            let filter = spelled(template, round, options.letters, &fingerprints)?;
            let started = Instant::now();
            let page = dead_letters::list(pool, &filter, None, 20).await?;
            lists.push(started.elapsed().as_secs_f64() * 1000.0);
            found = found.max(page.len());
            let started = Instant::now();
            dead_letters::tally(pool, &filter).await?;
            counts.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        figures.push(figure(template, found, &mut lists, &mut counts));
    }
    let middle = sqlx::query_scalar("select id from hub.dead_letter order by id desc offset $1 limit 1")
        .bind(options.letters / 2)
        .fetch_optional(pool)
        .await?;
    let (mut pages, mut groups) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let started = Instant::now();
        dead_letters::list(pool, &Filter::default(), middle, 20).await?;
        pages.push(started.elapsed().as_secs_f64() * 1000.0);
        let started = Instant::now();
        dead_letters::groups(pool, &Filter::default(), 50).await?;
        groups.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    figures.push(figure("a page in the middle", 20, &mut pages.clone(), &mut pages));
    figures.push(figure("groups", 50, &mut groups.clone(), &mut groups));
    Ok(figures)
}

fn figure(filter: &str, found: usize, lists: &mut [f64], counts: &mut [f64]) -> Figure {
    Figure {
        filter: if filter.is_empty() { "all".to_owned() } else { filter.to_owned() },
        found,
        list_p50_ms: percentile(lists, 0.5),
        list_p95_ms: percentile(lists, 0.95),
        count_p50_ms: percentile(counts, 0.5),
        count_p95_ms: percentile(counts, 0.95),
    }
}

async fn seed(pool: &PgPool, letters: i64) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("seed.sql")).bind(letters).execute(pool).await?;
    pool.execute("vacuum analyze hub.dead_letter").await?;
    Ok(())
}

async fn run(options: &Options) -> Result<Vec<Figure>, Box<dyn Error>> {
    if let Some(url) = &options.url {
        let mut server = PgConnection::connect(url).await?;
        let name = format!("kopru_letters_{}", std::process::id());
        server.execute(AssertSqlSafe(format!("create database {name}"))).await?;
        let pool = PgPool::connect_with(PgConnectOptions::from_str(url)?.database(&name)).await?;
        kopru::database::migrate(&pool).await?;
        seed(&pool, options.letters).await?;
        let figures = measure(&pool, options).await;
        pool.close().await;
        server.execute(AssertSqlSafe(format!("drop database {name} with (force)"))).await?;
        return figures;
    }
    let dir = tempfile::tempdir()?;
    // The server may run as a user of its own, who has to pass.
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let config = Config::load(&Sources::none().set("data.dir", dir.path().display().to_string().as_str()))?;
    let database = Database::open(&config).await?;
    seed(&database.pool, options.letters).await?;
    let figures = measure(&database.pool, options).await;
    database.close().await;
    figures
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let figures = match runtime.block_on(run(&options)) {
        Ok(figures) => figures,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures).unwrap_or_default());
    } else {
        println!(
            "{:<52} {:>5} {:>9} {:>9} {:>9} {:>9}",
            "filter", "found", "list p50", "p95 ms", "count p50", "p95 ms"
        );
        for row in &figures {
            println!(
                "{:<52} {:>5} {:>9.1} {:>9.1} {:>9.1} {:>9.1}",
                row.filter, row.found, row.list_p50_ms, row.list_p95_ms, row.count_p50_ms, row.count_p95_ms
            );
        }
    }
    let slow: Vec<&str> = figures
        .iter()
        .filter(|row| row.filter != "groups" && row.list_p95_ms.max(row.count_p95_ms) > 200.0)
        .map(|row| row.filter.as_str())
        .collect();
    if slow.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("p95 above 200 ms: {}", slow.join("; "));
    ExitCode::FAILURE
}

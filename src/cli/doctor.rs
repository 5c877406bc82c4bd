//! `kopru doctor`: everything that must hold before the hub can work, checked one by one.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use clap::Args;
use kopru_sdk::{Cause, Connector};
use serde::Serialize;

use super::{failure::Failure, logging::Voice, output, run::Global};
use crate::{
    app,
    clock::Clock,
    config::{Config, ConfigError, DEMO_FILE},
    database::{self, Binaries, Database, DatabaseError, Home},
    hub::{
        checkup::{self, Checkup, Reach},
        deliveries::targets::TargetRow,
        files::Folder,
        installation,
    },
    mail,
    mapping::Library,
};

const CLOCK_SKEW_MAX: Duration = Duration::from_secs(2);
const FREE_BYTES_MIN: u64 = 1 << 30;
const UNSEALED_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Let warnings fail, too (a system that does not answer, an open breaker, a paused stream)
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// Worth a look; the hub works all the same.
    Warning,
    Failed,
    /// Nothing to judge.
    Info,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    verdict: Verdict,
    /// Absent (null) when there was nothing to judge, and for a warning.
    ok: Option<bool>,
    detail: String,
}

impl Check {
    fn new(verdict: Verdict, name: impl Into<String>, detail: impl Into<String>) -> Check {
        let ok = match verdict {
            Verdict::Ok => Some(true),
            Verdict::Failed => Some(false),
            Verdict::Warning | Verdict::Info => None,
        };
        Check { name: name.into(), verdict, ok, detail: detail.into() }
    }

    fn ok(name: impl Into<String>, detail: impl Into<String>) -> Check {
        Check::new(Verdict::Ok, name, detail)
    }

    fn warning(name: impl Into<String>, detail: impl Into<String>) -> Check {
        Check::new(Verdict::Warning, name, detail)
    }

    fn failed(name: impl Into<String>, detail: impl Into<String>) -> Check {
        Check::new(Verdict::Failed, name, detail)
    }

    fn info(name: impl Into<String>, detail: impl Into<String>) -> Check {
        Check::new(Verdict::Info, name, detail)
    }

    fn fails(&self, strict: bool) -> bool {
        self.verdict == Verdict::Failed || (strict && self.verdict == Verdict::Warning)
    }
}

type Connectors = BTreeMap<String, Arc<dyn Connector>>;

pub(super) async fn doctor(global: &Global, args: DoctorArgs) -> Result<(), Failure> {
    let sources = global.sources();
    let config = match global.load(Voice::Command) {
        Ok(config) => config,
        // Nothing else can be judged without it.
        Err(error) => {
            let error = app::load_config(&sources).err().unwrap_or(error);
            report(global, &[Check::failed("configuration", findings(&error))], args.strict)?;
            return Err(Failure::Told(2));
        }
    };
    let mut from = sources.path().map_or_else(|| "built-in defaults".to_owned(), |path| path.display().to_string());
    let demo = config.data.dir.join(DEMO_FILE);
    if demo.is_file() {
        from = format!("{from}, {}", demo.display());
    }
    let mut checks = vec![Check::ok("configuration", from)];
    let connectors = match app::connectors(&config, kopru_bundle::all()) {
        Ok(built) => {
            let names: Vec<&str> = built.keys().map(String::as_str).collect();
            checks.push(match names.is_empty() {
                true => Check::info("connectors", "none is configured: add a [connectors.NAME] block"),
                false => Check::ok("connectors", names.join(", ")),
            });
            built
        }
        Err(error) => {
            checks.push(Check::failed("connectors", findings(&error)));
            Connectors::new()
        }
    };
    match app::library(&config) {
        Ok(library) => {
            let names: Vec<&str> = library.iter().map(|mapping| mapping.name()).collect();
            checks.push(Check::ok("mappings", names.join(", ")));
            checks.extend(folders(&config, &library));
        }
        Err(error) => checks.push(Check::failed("mappings", error.to_string())),
    }
    checks.extend(files(&config));
    checks.extend(store(&config, &connectors).await);
    report(global, &checks, args.strict)?;
    if checks.iter().any(|check| check.fails(args.strict)) { Err(Failure::Told(1)) } else { Ok(()) }
}

fn findings(error: &ConfigError) -> String {
    error.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The watched folders: there, writable, and with mappings that read their files.
fn folders(config: &Config, library: &Library) -> Vec<Check> {
    let folders = match app::folders(config, library) {
        Ok(folders) => folders,
        Err(error) => return vec![Check::failed("watched folders", findings(&error))],
    };
    let check = |folder: Arc<Folder>| {
        let title = format!("folder {}", folder.name);
        let known = config.connectors.contains_key(&folder.instance);
        match folder.check() {
            Err(problem) => Check::failed(title, problem),
            Ok(()) if !known && !config.connectors.is_empty() => {
                let text =
                    format!("no [connectors.{0}] is configured: is `{0}` the instance that is meant?", folder.instance);
                Check::warning(title, text)
            }
            Ok(()) => Check::ok(title, folder.dir.display().to_string()),
        }
    };
    folders.into_iter().map(check).collect()
}

/// The data directory, its disk, and the programs of the private server.
fn files(config: &Config) -> Vec<Check> {
    let dir = match config.data.absolute() {
        Ok(dir) => dir,
        Err(error) => return vec![Check::failed("data directory", error.to_string())],
    };
    let cluster = Home::existing(&dir);
    let place = cluster.as_deref().and_then(|cluster| cluster.canonicalize().ok());
    let mut checks = vec![data_dir(&dir), disk_space(place.as_deref().unwrap_or(&dir))];
    if config.database.url.is_none() {
        checks.push(binaries(cluster.as_deref()));
    }
    checks
}

fn data_dir(dir: &Path) -> Check {
    const NAME: &str = "data directory";
    if !dir.exists() {
        return Check::info(NAME, format!("{} will be made at the first start", dir.display()));
    }
    let probe = dir.join(format!(".doctor-{}", std::process::id()));
    match fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)) {
        Ok(()) => Check::ok(NAME, dir.display().to_string()),
        Err(error) => Check::failed(NAME, format!("cannot write to {}: {error}; give it to this user", dir.display())),
    }
}

fn disk_space(place: &Path) -> Check {
    const NAME: &str = "disk space";
    let Some(existing) = place.ancestors().find(|ancestor| ancestor.exists()) else {
        return Check::info(NAME, "no such place yet");
    };
    match rustix::fs::statvfs(existing) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            #[expect(clippy::cast_precision_loss, reason = "for display only")]
            let detail = format!("{:.1} GiB free at {}", free as f64 / (1_u64 << 30) as f64, existing.display());
            match free >= FREE_BYTES_MIN {
                true => Check::ok(NAME, detail),
                false => Check::failed(NAME, format!("{detail}: make room, at least 1 GiB")),
            }
        }
        Err(error) => Check::failed(NAME, format!("{}: {error}", existing.display())),
    }
}

fn binaries(cluster: Option<&Path>) -> Check {
    const NAME: &str = "PostgreSQL programs";
    let installed = Binaries::installed();
    let Some(newest) = installed.first() else { return Check::failed(NAME, DatabaseError::NoBinaries.to_string()) };
    if newest.major < database::LEAST_VERSION {
        return Check::failed(NAME, DatabaseError::NoBinaries.to_string());
    }
    let version = cluster.and_then(|dir| fs::read_to_string(dir.join("PG_VERSION")).ok());
    match (cluster, version) {
        (Some(dir), Some(version)) => match Binaries::of_cluster(dir, version.trim()) {
            Ok(binaries) => Check::ok(NAME, format!("{} in {}", binaries.major, binaries.dir.display())),
            Err(error) => Check::failed(NAME, error.to_string()),
        },
        _ => Check::ok(NAME, format!("{} in {}", newest.major, newest.dir.display())),
    }
}

/// The database and what is in it, and the systems. A private server is started for this, but never made.
async fn store(config: &Config, connectors: &Connectors) -> Vec<Check> {
    const NAME: &str = "database";
    let none_yet = config.data.absolute().is_ok_and(|dir| Home::existing(&dir).is_none());
    if config.database.url.is_none() && none_yet {
        let mut checks = vec![Check::info(NAME, "none yet: the first `kopru migrate` or `kopru serve` makes it")];
        checks.extend(systems(config, connectors, None).await);
        return checks;
    }
    let database = match Database::connect(config).await {
        Ok(database) => database,
        Err(error) => return vec![Check::failed(NAME, error.to_string())],
    };
    let mut checks = Vec::new();
    if let Err(error) = inside(config, &database, connectors, &mut checks).await {
        checks.push(Check::failed(NAME, error.to_string()));
    }
    database.close().await;
    checks
}

async fn inside(
    config: &Config,
    database: &Database,
    connectors: &Connectors,
    checks: &mut Vec<Check>,
) -> Result<(), DatabaseError> {
    let health = database::health(&database.pool).await?;
    checks.push(Check::ok("database", format!("PostgreSQL {} at {}", health.version, database.address())));

    let skew = (Clock::system().now() - health.now).abs();
    let detail = format!("{} ms apart from the database's clock", skew.num_milliseconds());
    checks.push(match skew.to_std() {
        Ok(skew) if skew <= CLOCK_SKEW_MAX => Check::ok("clock", detail),
        _ => Check::failed("clock", format!("{detail}: set both clocks by NTP")),
    });

    let state = database::schema_state(&database.pool).await?;
    let fits = state.changed.is_empty() && state.pending.is_empty();
    checks.push(match (state.changed.first(), state.pending.len()) {
        (Some(&version), _) => Check::failed("schema", DatabaseError::Changed { version }.to_string()),
        (None, 0) => Check::ok("schema", format!("{} migrations applied", state.applied)),
        (None, pending) => Check::failed("schema", DatabaseError::Behind { pending }.to_string()),
    });
    // What follows asks tables, which must be this binary's.
    if fits {
        let retention = &config.retention;
        let (payload_days, history_days) = (retention.payload_days, retention.history_days);
        let lease = config.retry.lease();
        let found = checkup::look(&database.pool, health.now, lease, payload_days, history_days).await?;
        let code = installation::code(&database.pool).await?;
        checks.push(Check::info("installation", format!("{code}: our orders are called {code}-… over there")));
        checks.extend(hub(config, &found));
        checks.extend(systems(config, connectors, Some(database)).await);
    }
    Ok(())
}

fn hub(config: &Config, found: &Checkup) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.push(match found.daemons {
        0 => Check::info("daemons", "none is up: nothing is polled; `kopru serve` starts one"),
        1 => Check::info("daemons", "1 is up"),
        more => Check::info("daemons", format!("{more} are up")),
    });
    checks.push(partitions(found));
    checks.push(retention(config, found));
    checks.extend(found.open_breakers.iter().map(|breaker| {
        let since = breaker.opened_at.map_or_else(String::new, |at| format!(" since {}", at.format("%F %T UTC")));
        let fault = breaker.last_fault.as_deref().unwrap_or("no fault noted");
        let detail = format!("open{since}: {fault}; it is asked again by itself until it answers");
        Check::warning(format!("breaker {}", breaker.connector), detail)
    }));
    checks.extend(paused(found));
    checks.extend(found.mappings_refused.iter().map(|daemon| {
        let error = daemon.error.as_deref().unwrap_or_default();
        let detail = format!("the last edit is not in force: {error}; `kopru mapping check` tells all of it");
        Check::warning(format!("mappings of {}:{}", daemon.host, daemon.pid), detail)
    }));
    if !found.unmapped.is_empty() {
        let counts: Vec<String> = found.unmapped.iter().map(|(connector, n)| format!("{n} {connector}")).collect();
        let detail = format!("{}; `kopru mapping unmapped list` shows them", counts.join(", "));
        checks.push(Check::info("unmapped codes", detail));
    }
    checks.extend(found.asking.iter().map(|sweep| {
        let name = format!("sweep {}.{}", sweep.connector, sweep.stream);
        let detail = format!("{} records are gone over there; `kopru sync sweeps list` asks", sweep.candidates);
        Check::warning(name, detail)
    }));
    let letters: Vec<String> =
        found.letters.iter().map(|row| format!("{} {} {}", row.count, row.connector, row.cause)).collect();
    checks.push(Check::info(
        "dead letters",
        match letters.is_empty() {
            true => "none".to_owned(),
            false => format!("{}; `kopru dead-letters list` shows them", letters.join(", ")),
        },
    ));
    let queued: Vec<String> =
        found.queued.iter().map(|row| format!("{} {} {}", row.count, row.connector, row.state)).collect();
    checks.push(Check::info("queue", if queued.is_empty() { "empty".to_owned() } else { queued.join(", ") }));
    checks.push(Check::info("outbox", format!("{} events", found.events)));
    checks.push(audit(found));
    checks.push(mails(config, found));
    checks.extend(found.targets.iter().filter_map(target));
    checks
}

/// Whether audit rows get their seals: a daemon gives them each second.
fn audit(found: &Checkup) -> Check {
    const NAME: &str = "audit";
    let Some(oldest) = found.unsealed.oldest_at else { return Check::ok(NAME, "every row has its seal") };
    let waiting =
        format!("{} rows wait for their seal, the oldest since {}", found.unsealed.count, oldest.format("%F %T UTC"));
    match found.daemons {
        _ if found.unsealed.oldest_secs < UNSEALED_MAX.as_secs_f64() => Check::ok(NAME, waiting),
        0 => Check::info(NAME, format!("{waiting}; `kopru serve` gives it")),
        _ => Check::warning(NAME, format!("{waiting}; the daemon's log and `kopru audit verify` tell why")),
    }
}

/// Whether mails can go out.
fn mails(config: &Config, found: &Checkup) -> Check {
    const NAME: &str = "mail";
    let waiting = found.targets.iter().find(|target| target.name == mail::TARGET).map_or(0, |target| target.open);
    match (config.mail.host.as_str(), waiting) {
        ("", 0) => Check::info(NAME, "no server is configured: set [mail] host, or mails will wait"),
        ("", waiting) => Check::warning(NAME, format!("no server is configured, and {waiting} wait: set [mail] host")),
        (host, waiting) => Check::info(NAME, format!("by {host}:{}, {waiting} open", config.mail.port)),
    }
}

/// A target of which a person should know something.
fn target(target: &TargetRow) -> Option<Check> {
    let name = format!("target {}", target.name);
    if let (Some(cause), reason) = (&target.paused_cause, target.paused_reason.as_deref().unwrap_or_default()) {
        let verdict = if cause == "person" { Verdict::Info } else { Verdict::Warning };
        let detail = format!(
            "paused ({cause}): {reason}; {} wait; `kopru deliveries resume {}` when that is mended",
            target.open, target.name
        );
        return Some(Check::new(verdict, name, detail));
    }
    if !target.enabled && target.disabled_cause.as_deref() != Some("person") {
        let reason = target.disabled_reason.as_deref().unwrap_or_default();
        let detail = format!(
            "switched off by itself ({}): {reason}; {} wait; `kopru webhook-endpoints enable {}` when that is mended",
            target.disabled_cause.as_deref().unwrap_or("failing"),
            target.open,
            target.name.trim_start_matches("webhook:"),
        );
        return Some(Check::warning(name, detail));
    }
    let since = target.oldest.map_or_else(String::new, |at| format!(", the oldest since {}", at.format("%F %T UTC")));
    let TargetRow { open, held, blocked, dead, .. } = target;
    let detail = format!("{open} open{since}, {held} held, {blocked} blocked, {dead} dead");
    (open + dead > 0).then(|| Check::info(name, format!("{detail}; `kopru deliveries list` shows them")))
}

/// Streams that are paused for one and the same reason are one line: a refused password pauses them all.
fn paused(found: &Checkup) -> Vec<Check> {
    let mut groups: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
    for row in &found.paused {
        let (cause, reason) = (row.paused_cause.as_deref(), row.paused_reason.as_deref());
        let key = (row.connector.as_str(), cause.unwrap_or_default(), reason.unwrap_or_default());
        groups.entry(key).or_default().push(&row.stream);
    }
    let check = |((connector, cause, reason), streams): ((&str, &str, &str), Vec<&str>)| {
        let target = if let [stream] = streams[..] { format!("{connector}.{stream}") } else { connector.to_owned() };
        // A person who paused it knows.
        let verdict = if cause == "person" { Verdict::Info } else { Verdict::Warning };
        let detail =
            format!("{} ({cause}): {reason}; `kopru sync resume {target}` when that is mended", streams.join(", "));
        Check::new(verdict, format!("paused {connector}"), detail)
    };
    groups.into_iter().map(check).collect()
}

/// A daemon makes partitions when it starts and each night: without one, that some are missing is no surprise.
fn partitions(found: &Checkup) -> Check {
    const NAME: &str = "partitions";
    let mut wrong = Vec::new();
    if !found.partitions.missing.is_empty() {
        wrong.push(format!("missing: {}", found.partitions.missing.join(", ")));
    }
    for (table, rows) in &found.partitions.strays {
        wrong.push(format!("{rows} rows fell into {table}"));
    }
    if wrong.is_empty() {
        return Check::ok(NAME, "those of this week and the next are there, no row lies outside");
    }
    let wrong = wrong.join("; ");
    match found.daemons {
        0 => Check::warning(NAME, format!("{wrong}; `kopru serve` mends that when it starts")),
        _ if found.partitions.missing.is_empty() => {
            Check::warning(NAME, format!("{wrong}; the daemon brings them to their place at 04:10"))
        }
        _ => Check::failed(NAME, format!("{wrong}; restart the daemon, and see its log for why it did not make them")),
    }
}

fn retention(config: &Config, found: &Checkup) -> Check {
    const NAME: &str = "retention";
    let kept =
        format!("payloads {} days, history {} days", config.retention.payload_days, config.retention.history_days);
    match found.partitions.overdue.as_slice() {
        [] => Check::ok(NAME, kept),
        overdue => Check::warning(
            NAME,
            format!("{kept}, but older ones are there: {}; `kopru serve` drops them", overdue.join(", ")),
        ),
    }
}

/// Every configured system, asked once.
async fn systems(config: &Config, connectors: &Connectors, database: Option<&Database>) -> Vec<Check> {
    let mut checks = Vec::new();
    for (name, connector) in connectors {
        let configured = config.connectors.get(name).and_then(|connector| connector.exclusive);
        let exclusive = configured.unwrap_or_else(|| connector.exclusive());
        let store = database.map(|database| &database.pool).filter(|_| exclusive);
        let title = format!("system {name}");
        checks.push(match checkup::reach(connector.as_ref(), name, store, Clock::system().now()).await {
            Ok(Reach::Answers) => Check::ok(title, "answers, and takes the credentials"),
            Ok(Reach::Taken) => Check::info(title, "not asked: only one process may call it, and a daemon does"),
            Ok(Reach::Silent) => {
                let secs = checkup::PATIENCE.as_secs();
                Check::warning(title, format!("no answer within {secs} s; is it up, and reachable from this machine?"))
            }
            Ok(Reach::Fault(fault)) if fault.cause() == Cause::Remote => {
                Check::warning(title, format!("{fault}; is it up, and reachable from this machine?"))
            }
            Ok(Reach::Fault(fault)) => {
                Check::failed(title, format!("{fault} ({}); mend [connectors.{name}] or the system", fault.cause()))
            }
            Err(error) => Check::failed(title, error.to_string()),
        });
    }
    checks
}

fn report(global: &Global, checks: &[Check], strict: bool) -> Result<(), Failure> {
    let ok = !checks.iter().any(|check| check.fails(strict));
    if global.json {
        return output::print_json(&serde_json::json!({ "ok": ok, "checks": checks }));
    }
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|check| {
            let verdict = match check.verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Failed => "FAILED",
                Verdict::Info => "-",
            };
            vec![check.name.clone(), verdict.to_owned(), check.detail.clone()]
        })
        .collect();
    output::print(&output::table(&["CHECK", "RESULT", "DETAIL"], &rows))
}

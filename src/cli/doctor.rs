//! `kopru doctor`: everything that must hold before the hub can work, checked one by one.

use std::{fs, path::Path, time::Duration};

use serde::Serialize;

use super::{failure::Failure, logging::Voice, output, run::Global};
use crate::{
    app,
    clock::Clock,
    config::{Config, ConfigError},
    database::{self, Binaries, Database, DatabaseError, Home},
};

const CLOCK_SKEW_MAX: Duration = Duration::from_secs(2);
const FREE_BYTES_MIN: u64 = 1 << 30;

/// One line of the report. `ok` is absent (null) when there was nothing to check.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: Option<bool>,
    detail: String,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Check {
        Check { name, ok: Some(true), detail: detail.into() }
    }

    fn failed(name: &'static str, detail: impl Into<String>) -> Check {
        Check { name, ok: Some(false), detail: detail.into() }
    }

    fn skipped(name: &'static str, detail: impl Into<String>) -> Check {
        Check { name, ok: None, detail: detail.into() }
    }
}

pub(super) async fn doctor(global: &Global) -> Result<(), Failure> {
    let sources = global.sources();
    let config = match global.load(Voice::Command) {
        Ok(config) => config,
        // Nothing else can be judged without it.
        Err(error) => {
            report(global, &[Check::failed("configuration", findings(&error))])?;
            return Err(Failure::Told(2));
        }
    };
    let from = sources.path().map_or_else(|| "built-in defaults".to_owned(), |path| path.display().to_string());
    let mut checks = vec![Check::ok("configuration", from), connectors(&config)];
    checks.extend(files(&config));
    checks.extend(store(&config).await);
    report(global, &checks)?;
    if checks.iter().any(|check| check.ok == Some(false)) { Err(Failure::Told(1)) } else { Ok(()) }
}

fn findings(error: &ConfigError) -> String {
    error.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn connectors(config: &Config) -> Check {
    const NAME: &str = "connectors";
    match app::connectors(config, kopru_bundle::all()) {
        Ok(built) if built.is_empty() => Check::skipped(NAME, "none is configured: add a [connectors.NAME] block"),
        Ok(built) => Check::ok(NAME, built.keys().cloned().collect::<Vec<_>>().join(", ")),
        Err(error) => Check::failed(NAME, findings(&error)),
    }
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
        return Check::skipped(NAME, format!("{} will be made at the first start", dir.display()));
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
        return Check::skipped(NAME, "no such place yet");
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

/// The database and what is in it. A private server is started for this, but never made.
async fn store(config: &Config) -> Vec<Check> {
    const NAME: &str = "database";
    let none_yet = config.data.absolute().is_ok_and(|dir| Home::existing(&dir).is_none());
    if config.database.url.is_none() && none_yet {
        return vec![Check::skipped(NAME, "none yet: the first `kopru migrate` or `kopru serve` makes it")];
    }
    let database = match Database::connect(config).await {
        Ok(database) => database,
        Err(error) => return vec![Check::failed(NAME, error.to_string())],
    };
    let checks = inside(&database).await.unwrap_or_else(|error| vec![Check::failed(NAME, error.to_string())]);
    database.close().await;
    checks
}

async fn inside(database: &Database) -> Result<Vec<Check>, DatabaseError> {
    let health = database::health(&database.pool).await?;
    let mut checks = vec![Check::ok("database", format!("PostgreSQL {} at {}", health.version, database.address()))];

    let skew = (Clock::system().now() - health.now).abs();
    let detail = format!("{} ms apart from the database's clock", skew.num_milliseconds());
    checks.push(match skew.to_std() {
        Ok(skew) if skew <= CLOCK_SKEW_MAX => Check::ok("clock", detail),
        _ => Check::failed("clock", format!("{detail}: set both clocks by NTP")),
    });

    let state = database::schema_state(&database.pool).await?;
    checks.push(match (state.changed.first(), state.pending.len()) {
        (Some(&version), _) => Check::failed("schema", DatabaseError::Changed { version }.to_string()),
        (None, 0) => Check::ok("schema", format!("{} migrations applied", state.applied)),
        (None, pending) => Check::failed("schema", DatabaseError::Behind { pending }.to_string()),
    });

    let filled = health.filled_default_partitions;
    checks.push(match filled.is_empty() {
        true => Check::ok("partitions", "every row lies in a partition of its time"),
        false => Check::failed(
            "partitions",
            format!("rows fell into {}: `kopru serve` makes partitions ahead, is it running?", filled.join(", ")),
        ),
    });
    Ok(checks)
}

fn report(global: &Global, checks: &[Check]) -> Result<(), Failure> {
    let ok = checks.iter().all(|check| check.ok != Some(false));
    if global.json {
        return output::print_json(&serde_json::json!({ "ok": ok, "checks": checks }));
    }
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|check| {
            let verdict = match check.ok {
                Some(true) => "ok",
                Some(false) => "FAILED",
                None => "-",
            };
            vec![check.name.to_owned(), verdict.to_owned(), check.detail.clone()]
        })
        .collect();
    output::print(&output::table(&["CHECK", "RESULT", "DETAIL"], &rows))
}

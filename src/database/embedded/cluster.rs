//! Entering and leaving a cluster, and making a new one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    ROLE,
    binaries::Binaries,
    home::{Home, files, make_dir},
    lock::{Turn, Use},
    owner::Owner,
    postmaster::{Postmaster, reap},
};
use crate::database::error::DatabaseError;

/// Prefix of a cluster that is being made.
const UNFINISHED: &str = "postgres.unfinished-";

/// A private server that this process uses. Dropping it leaves.
#[derive(Debug)]
pub struct Cluster {
    home: Home,
    owner: Owner,
    postmaster: Postmaster,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` once we have left.
    in_use: Option<Use>,
    /// The server, if this process started it.
    child: Option<Child>,
}

impl Cluster {
    /// Uses the cluster of this data directory: makes it if there is none, starts it if it does not run.
    pub async fn enter(data_dir: PathBuf) -> Result<Cluster, DatabaseError> {
        let entered = tokio::task::spawn_blocking(move || enter(&data_dir)).await;
        entered.unwrap_or_else(|error| {
            Err(DatabaseError::Files { what: "enter", path: PathBuf::from("postgres"), source: error.into() })
        })
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    pub(in crate::database) fn socket_dir(&self) -> &Path {
        &self.postmaster.socket
    }

    pub(in crate::database) fn port(&self) -> u16 {
        self.postmaster.port
    }

    pub(super) fn is_running(&self) -> bool {
        reap(&mut self.state().child);
        Postmaster::find(&self.home).is_some()
    }

    /// Starts the server again after it died. Does nothing once we have left.
    pub(super) fn revive(&self) -> Result<(), DatabaseError> {
        let _turn = Turn::take(&self.home)?;
        let mut state = self.state();
        if state.in_use.is_some() {
            Postmaster::ensure(&self.home, &self.owner, &mut state.child)?;
        }
        Ok(())
    }

    /// Stops the server if nobody else uses it. The second call does nothing.
    pub(super) fn leave(&self) {
        if self.state().in_use.is_none() {
            return;
        }
        // The turn first and the state second, as everywhere.
        let turn = Turn::take(&self.home);
        let mut state = self.state();
        state.in_use = None;
        match turn {
            Ok(turn) if turn.nobody_uses(&self.home) => {
                if let Some(postmaster) = Postmaster::find(&self.home) {
                    postmaster.stop(&self.home, &mut state.child);
                }
                reap(&mut state.child);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "PostgreSQL was left running"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.leave();
    }
}

fn enter(data_dir: &Path) -> Result<Cluster, DatabaseError> {
    let since = Instant::now();
    let owner = Owner::choose(Home::existing(data_dir).as_deref())?;
    let home = Home::prepare(data_dir, &owner)?;
    let turn = Turn::take(&home)?;
    let in_use = Use::begin(&home, &turn)?;
    let made = make_cluster(&home, &owner)?;
    if made && let Some(outside) = &home.outside {
        tracing::warn!(
            "PostgreSQL's user cannot reach {}, so its data lies in {}",
            data_dir.display(),
            outside.display()
        );
    }
    let mut child = None;
    let postmaster = Postmaster::ensure(&home, &owner, &mut child)?;
    drop(turn);
    tracing::info!(
        cluster = %home.cluster.display(),
        started = child.is_some(),
        duration_ms = since.elapsed().as_millis() as u64,
        "the private PostgreSQL is ready"
    );
    Ok(Cluster { home, owner, postmaster, state: Mutex::new(State { in_use: Some(in_use), child }) })
}

/// Makes the cluster if there is none. It is built under another name and renamed, so a crash leaves no half one.
fn make_cluster(home: &Home, owner: &Owner) -> Result<bool, DatabaseError> {
    clear_unfinished(home);
    if let Some(version) = home.version()? {
        Binaries::of_cluster(&home.cluster, &version)?;
        return Ok(false);
    }
    // An empty directory is replaced by the rename below.
    if fs::read_dir(&home.cluster).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(DatabaseError::NotACluster { dir: home.cluster.clone() });
    }
    let binaries = Binaries::newest()?;
    // A name of its own each time: the initdb of a killed process may still be writing to the last one.
    let unfinished = home.base.join(format!("{UNFINISHED}{:08x}", rand::random::<u32>()));
    make_dir(&unfinished, 0o700)?;
    owner.own(&unfinished)?;

    let mut initdb = owner.command(binaries.program("initdb"));
    initdb
        .args(["--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "--auth=trust", "--no-instructions"])
        .arg(format!("--username={ROLE}"))
        .arg("-D")
        .arg(&unfinished);
    run(initdb, &unfinished, &home.cluster, "")?;
    // Single-user mode: the database is there before anybody can connect.
    let mut single = owner.command(binaries.program("postgres"));
    single.args(["--single", "-D"]).arg(&unfinished).arg("postgres");
    run(single, &unfinished, &home.cluster, &format!("create database {ROLE}\n"))?;

    fs::rename(&unfinished, &home.cluster).map_err(files("put in place", &home.cluster))?;
    fs::File::open(&home.base).and_then(|base| base.sync_all()).map_err(files("write", &home.base))?;
    Ok(true)
}

/// What was left by processes that were killed while they made the cluster.
fn clear_unfinished(home: &Home) {
    for entry in fs::read_dir(&home.base).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            // Its initdb may still be alive; the next start tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn run(mut command: Command, dir: &Path, cluster: &Path, input: &str) -> Result<(), DatabaseError> {
    let program = PathBuf::from(command.get_program());
    let failed = |source| DatabaseError::Program { program: program.clone(), source };
    command.current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        std::io::Write::write_all(&mut stdin, input.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    // Single-user mode ends with 0 even when a statement failed.
    if output.status.success() && !stderr.contains("ERROR:") {
        return Ok(());
    }
    let lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    Err(DatabaseError::Init { dir: cluster.to_owned(), output: lines.collect::<Vec<_>>().join(" ") })
}

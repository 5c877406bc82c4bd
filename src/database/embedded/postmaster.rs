//! The server process: found, started, stopped. Always in one's turn.

use std::{
    fs::{self, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::{
    binaries::Binaries,
    home::{Home, files},
    owner::Owner,
};
use crate::database::error::DatabaseError;

const PORT: u16 = 5432;
const PAUSE: Duration = Duration::from_millis(5);
/// Crash recovery of `max_wal_size` on a slow disk.
const START_PATIENCE: Duration = Duration::from_secs(300);
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const LOG_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Settings of the private server. It shares the machine with us and serves one program, which loads in bulk.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    ("max_connections", "100"),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("shared_buffers", "256MB"),
    ("work_mem", "16MB"),
    ("maintenance_work_mem", "128MB"),
    // Fewer, longer checkpoints: after each one every page is written to the log whole.
    ("max_wal_size", "4GB"),
    ("min_wal_size", "256MB"),
    ("wal_compression", "on"),
    ("wal_buffers", "16MB"),
    ("checkpoint_timeout", "15min"),
    ("checkpoint_completion_target", "0.9"),
    // Queues are updated far more often than a table of this size would make one think.
    ("autovacuum_naptime", "15s"),
    ("autovacuum_vacuum_scale_factor", "0.05"),
    ("autovacuum_analyze_scale_factor", "0.05"),
    ("random_page_cost", "1.1"),
    // Statements are short: compiling them costs more than it saves.
    ("jit", "off"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("log_line_prefix", "%m [%p] "),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
];

/// A server that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Postmaster {
    pid: Pid,
    pub socket: PathBuf,
    pub port: u16,
    ready: bool,
}

impl Postmaster {
    /// The live server of this cluster, by the file that it keeps; `None` when there is none, or only its remains.
    pub fn find(home: &Home) -> Option<Postmaster> {
        let text = fs::read_to_string(pid_file(home)).ok()?;
        let mut lines = text.lines();
        let pid = Pid::from_raw(lines.next()?.trim().parse().ok()?)?;
        let port = lines.nth(2).and_then(|line| line.trim().parse().ok()).unwrap_or(PORT);
        let socket = lines.next().map(str::trim).filter(|line| !line.is_empty());
        let socket = socket.map_or_else(|| home.socket.clone(), PathBuf::from);
        let ready = lines.nth(2).is_some_and(|status| status.trim() == "ready");
        is_postmaster(pid, &home.cluster).then_some(Postmaster { pid, socket, port, ready })
    }

    /// Adopts the live server, or clears a dead one's remains and starts anew. Returns when it accepts connections.
    pub fn ensure(home: &Home, owner: &Owner, child: &mut Option<Child>) -> Result<Postmaster, DatabaseError> {
        reap(child);
        if Postmaster::find(home).is_some() {
            match wait_ready(home, None) {
                Ok(postmaster) => return Ok(postmaster),
                // It was on its way out when we found it.
                Err(_) if Postmaster::find(home).is_none() => {}
                Err(error) => return Err(error),
            }
        }
        let version = home.version()?.unwrap_or_default();
        let binaries = Binaries::of_cluster(&home.cluster, &version)?;
        clear_remains(home);
        home.make_socket_dir(owner)?;
        let since = Instant::now();
        loop {
            let mut started = start(home, owner, &binaries)?;
            match wait_ready(home, Some(&mut started)) {
                Ok(postmaster) => {
                    *child = Some(started);
                    return Ok(postmaster);
                }
                // The killed server's last backends are just leaving.
                Err(DatabaseError::Start { output, .. })
                    if output.contains("still in use") && since.elapsed() < Duration::from_secs(10) =>
                {
                    thread::sleep(Duration::from_millis(100));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Fast stop: running transactions are rolled back, everything is on disk. By force when it takes too long.
    pub fn stop(&self, home: &Home, child: &mut Option<Child>) {
        for (signal, patience) in [(Signal::INT, STOP_PATIENCE), (Signal::QUIT, Duration::from_secs(10))] {
            // An error means that it is gone already.
            let _ = kill_process(self.pid, signal);
            let since = Instant::now();
            while since.elapsed() < patience {
                reap(child);
                if !is_postmaster(self.pid, &home.cluster) {
                    let _ = fs::remove_dir(&self.socket);
                    return;
                }
                thread::sleep(PAUSE);
            }
            tracing::warn!(pid = self.pid.as_raw_nonzero().get(), "PostgreSQL takes long to stop");
        }
    }
}

/// Collects our own child once it has ended: a zombie would look alive.
pub(super) fn reap(child: &mut Option<Child>) {
    if child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_)))) {
        *child = None;
    }
}

fn start(home: &Home, owner: &Owner, binaries: &Binaries) -> Result<Child, DatabaseError> {
    let log_path = home.log();
    if fs::metadata(&log_path).is_ok_and(|metadata| metadata.len() > LOG_MAX_BYTES) {
        fs::rename(&log_path, log_path.with_extension("log.1")).map_err(files("rotate", &log_path))?;
    }
    let log = || {
        let open = OpenOptions::new().create(true).append(true).mode(0o600).open(&log_path);
        open.map_err(files("open", &log_path))
    };
    let (stdout, stderr) = (log()?, log()?);
    // A user who runs kopru on this directory after root did has to write to it as well.
    owner.own(&log_path)?;
    let program = binaries.program("postgres");
    let mut command = owner.command(program.clone());
    command.arg("-D").arg(&home.cluster).arg("-k").arg(&home.socket).arg("-p").arg(PORT.to_string());
    for (name, value) in SETTINGS {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    command
        .current_dir(&home.cluster)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .map_err(|source| DatabaseError::Program { program, source })
}

/// Waits until the server that the pid file names is ready. With `child`: until that one is.
fn wait_ready(home: &Home, mut child: Option<&mut Child>) -> Result<Postmaster, DatabaseError> {
    let since = Instant::now();
    let mut told = false;
    let failed = |output: String| Err(DatabaseError::Start { dir: home.cluster.clone(), output, log: home.log() });
    loop {
        let found = Postmaster::find(home);
        if let Some(child) = child.as_deref_mut() {
            if let Ok(Some(status)) = child.try_wait() {
                return failed(last_words(&home.log()).unwrap_or_else(|| status.to_string()));
            }
            let ours = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            if let Some(postmaster) = found.filter(|found| found.ready && Some(found.pid) == ours) {
                return Ok(postmaster);
            }
        } else {
            match found {
                Some(postmaster) if postmaster.ready => return Ok(postmaster),
                Some(_) => {}
                None => return failed("it stopped".to_owned()),
            }
        }
        if since.elapsed() > START_PATIENCE {
            return failed(format!("not ready after {} seconds", START_PATIENCE.as_secs()));
        }
        if !told && since.elapsed() > Duration::from_secs(3) {
            told = true;
            tracing::info!("waiting for PostgreSQL, which recovers from a crash or is slow to start");
        }
        thread::sleep(PAUSE);
    }
}

/// The reason is in the last FATAL line, or else in the last line at all.
fn last_words(log: &Path) -> Option<String> {
    let mut file = fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(4096))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail).into_owned();
    let lines: Vec<&str> = tail.lines().filter(|line| !line.trim().is_empty()).collect();
    let fatal = lines.iter().rfind(|line| line.contains("FATAL:") || line.contains("PANIC:"));
    let line = fatal.or(lines.last())?;
    let start = ["FATAL:", "PANIC:"].iter().find_map(|mark| line.find(mark)).unwrap_or(0);
    Some(line[start..].to_owned())
}

/// What a server leaves that was killed. Its pid file is PostgreSQL's to judge (it looks for orphaned backends as well),
/// except when the number has gone to a process that has nothing to do with it.
fn clear_remains(home: &Home) {
    for name in [format!(".s.PGSQL.{PORT}"), format!(".s.PGSQL.{PORT}.lock")] {
        let _ = fs::remove_file(home.socket.join(name));
    }
    let text = fs::read_to_string(pid_file(home)).unwrap_or_default();
    let pid = text.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw);
    if pid.is_some_and(|pid| test_kill_process(pid).is_ok() || is_zombie(pid)) {
        let _ = fs::remove_file(pid_file(home));
    }
}

fn pid_file(home: &Home) -> PathBuf {
    home.cluster.join("postmaster.pid")
}

fn is_zombie(pid: Pid) -> bool {
    // "7 (postgres) Z 1 …": the state follows the last closing bracket.
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Whether the process lives and serves this cluster. Numbers are used again, above all in containers.
fn is_postmaster(pid: Pid, cluster: &Path) -> bool {
    if matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH)) || is_zombie(pid) {
        return false;
    }
    let Ok(line) = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())) else {
        // No /proc: the living number has to do.
        return !Path::new("/proc/self").exists();
    };
    let mut words = line
        .split(|byte| *byte == 0)
        .map(|word| Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(word)));
    let is_postgres =
        words.next().and_then(Path::file_name).is_some_and(|name| name == "postgres" || name == "postmaster");
    // Somebody may have started it by hand, with a relative path: its working directory is the cluster.
    let by_hand = || fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).is_ok_and(|cwd| cwd == cluster);
    is_postgres && (words.any(|word| word == cluster) || by_hand())
}

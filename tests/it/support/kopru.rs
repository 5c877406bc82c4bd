//! The real program, run in an empty directory with a clean environment.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rustix::process::Pid;
use tempfile::TempDir;

pub struct Kopru {
    dir: TempDir,
}

/// What a finished run said.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    #[track_caller]
    pub fn expect(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        Run {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Kopru {
    pub fn new() -> Kopru {
        let kopru = Kopru { dir: TempDir::new().expect("a directory") };
        // Temporary directories are 0700; PostgreSQL's user has to pass when the tests run as root.
        kopru.open_to_all(0o755);
        kopru
    }

    pub fn open_to_all(&self, mode: u32) {
        fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(mode)).expect("set the mode");
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).expect("write a file");
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kopru"));
        command.args(args).current_dir(self.dir.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.command(args).output().expect("kopru runs").into()
    }

    /// The PostgreSQL servers that run on this directory.
    pub fn servers(&self) -> Vec<Pid> {
        servers_below(self.dir.path())
    }
}

/// The PostgreSQL servers whose command line names something below `dir`; not their children, which look the same for
/// the moment before they rename themselves.
pub fn servers_below(dir: &Path) -> Vec<Pid> {
    let prefix = format!("{}/", dir.canonicalize().expect("the directory exists").display());
    let processes = fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let mut words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let is_server = words.next()?.ends_with("/postgres") && words.any(|word| word.starts_with(&prefix));
        // "7 (postgres) S 1 …": the parent's number is the second word after the last bracket.
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent: i32 = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        is_server.then_some((pid, parent))
    });
    let processes: Vec<(i32, i32)> = processes.collect();
    let is_server = |pid: i32| processes.iter().any(|(other, _)| *other == pid);
    let servers = processes.iter().filter(|(_, parent)| !is_server(*parent));
    servers.filter_map(|(pid, _)| Pid::from_raw(*pid)).collect()
}

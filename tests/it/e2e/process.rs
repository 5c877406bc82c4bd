//! A process that a test has started: ended when the test ends, and its log shown when the test fails.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything that a test waits for may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub struct Process {
    child: Child,
    name: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command` with its output in files below `dir`.
    pub fn start(mut command: Command, dir: &Path, name: &str) -> Process {
        let stdout = dir.join(format!("{name}.out"));
        let stderr = dir.join(format!("{name}.err"));
        command.stdin(Stdio::null());
        command.stdout(File::create(&stdout).expect("a file for its output"));
        command.stderr(File::create(&stderr).expect("a file for its log"));
        let child = command.spawn().expect("it starts");
        Process { child, name: name.to_owned(), stdout, stderr }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn output(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("it is there to be signalled");
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours to kill");
        self.child.wait().expect("it ended");
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "{} does not end", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until `find` sees what it looks for in the process, which must not end before.
    pub async fn shows<T>(&mut self, what: &str, find: impl Fn(&Process) -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            if let Some(found) = find(self) {
                return found;
            }
            let status = self.child.try_wait().expect("its state");
            assert!(status.is_none(), "{} ended ({status:?}) before {what}", self.name);
            assert!(since.elapsed() < PATIENCE, "{} does not come to {what}", self.name);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let skipped = log.lines().count().saturating_sub(60);
            let tail: Vec<&str> = log.lines().skip(skipped).collect();
            eprintln!("--- log of {} (pid {}), its last lines\n{}\n---", self.name, self.child.id(), tail.join("\n"));
        }
    }
}

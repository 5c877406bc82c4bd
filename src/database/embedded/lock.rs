//! The two locks of a cluster. A lock lives as long as its file is open: the kernel frees it when the process ends,
//! however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::home::{Home, files};
use crate::database::error::DatabaseError;

/// Longer than a start with crash recovery should take.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(10);

/// Held while the server is started or stopped: one process at a time.
#[derive(Debug)]
pub(super) struct Turn {
    _file: File,
}

impl Turn {
    pub fn take(home: &Home) -> Result<Turn, DatabaseError> {
        let file = open(&home.base.join("postgres.turn"))?;
        let since = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Turn { _file: file }),
                Err(TryLockError::WouldBlock) if since.elapsed() > PATIENCE => {
                    return Err(DatabaseError::Busy { dir: home.cluster.clone() });
                }
                Err(TryLockError::WouldBlock) => {
                    if !told && since.elapsed() > Duration::from_secs(3) {
                        told = true;
                        tracing::info!("waiting for another process that starts or stops PostgreSQL");
                    }
                    thread::sleep(PAUSE);
                }
                Err(TryLockError::Error(error)) => return Err(files("lock", &home.base)(error)),
            }
        }
    }

    /// Whether nobody uses the cluster. Nobody can begin to while we have the turn.
    pub fn nobody_uses(&self, home: &Home) -> bool {
        // A process that is just starting a program shows its locks twice for a moment, so look more than once.
        (0..5).any(|attempt| {
            if attempt > 0 {
                thread::sleep(PAUSE);
            }
            open(&in_use(home)).is_ok_and(|file| file.try_lock().is_ok())
        })
    }
}

/// Held by each process that uses the cluster.
#[derive(Debug)]
pub(super) struct Use {
    _file: File,
}

impl Use {
    /// Only in one's turn: nobody is stopping the server then.
    pub fn begin(home: &Home, _turn: &Turn) -> Result<Use, DatabaseError> {
        let file = open(&in_use(home))?;
        file.lock_shared().map_err(files("lock", &home.base))?;
        Ok(Use { _file: file })
    }
}

fn in_use(home: &Home) -> std::path::PathBuf {
    home.base.join("postgres.lock")
}

fn open(path: &Path) -> Result<File, DatabaseError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(files("open", path))
}

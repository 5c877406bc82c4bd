//! Which PostgreSQL is installed here.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::database::{error::DatabaseError, open::LEAST_VERSION};

/// The programs of one major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    pub major: u32,
    pub dir: PathBuf,
}

impl Binaries {
    /// All installed versions, newest first: where Debian puts them, then whatever `pg_config` on the PATH tells.
    pub fn installed() -> Vec<Binaries> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
            let major = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let dir = entry.path().join("bin");
            if let Some(major) = major.filter(|_| is_server(&dir)) {
                found.push(Binaries { major, dir });
            }
        }
        if let Some(binaries) = of_pg_config().filter(|new| found.iter().all(|known| known.major != new.major)) {
            found.push(binaries);
        }
        found.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
        found
    }

    /// For a new cluster: the newest.
    pub(super) fn newest() -> Result<Binaries, DatabaseError> {
        let newest = Binaries::installed().into_iter().next();
        newest.filter(|binaries| binaries.major >= LEAST_VERSION).ok_or(DatabaseError::NoBinaries)
    }

    /// For an existing data directory: those of its own major version.
    pub fn of_cluster(dir: &Path, version: &str) -> Result<Binaries, DatabaseError> {
        let installed = Binaries::installed();
        if installed.is_empty() {
            return Err(DatabaseError::NoBinaries);
        }
        let list = installed.iter().map(|binaries| binaries.major.to_string()).collect::<Vec<_>>().join(", ");
        installed.into_iter().find(|binaries| binaries.major.to_string() == version).ok_or_else(|| {
            DatabaseError::OtherMajor { dir: dir.to_owned(), cluster: version.to_owned(), installed: list }
        })
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn is_server(dir: &Path) -> bool {
    dir.join("postgres").is_file() && dir.join("initdb").is_file()
}

fn of_pg_config() -> Option<Binaries> {
    let dir = PathBuf::from(output(Command::new("pg_config").arg("--bindir"))?);
    if !is_server(&dir) {
        return None;
    }
    // "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"
    let version = output(Command::new(dir.join("postgres")).arg("--version"))?;
    let number = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let major = number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    Some(Binaries { major, dir })
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

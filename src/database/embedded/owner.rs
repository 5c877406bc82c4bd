//! The user that the server runs as. PostgreSQL refuses to be root.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use super::home::files;
use crate::database::error::DatabaseError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// We are root and the server runs as somebody else.
    switch: bool,
}

impl Owner {
    /// Ourselves; for root the owner of the existing data directory, else `postgres`, else `nobody`.
    pub fn choose(existing: Option<&Path>) -> Result<Owner, DatabaseError> {
        let us = rustix::process::geteuid().as_raw();
        let dir_owner = match existing {
            Some(dir) => Some(fs::metadata(dir).map_err(files("look at", dir))?.uid()),
            None => None,
        };
        if us != 0 {
            if let (Some(dir), Some(owner)) = (existing, dir_owner.filter(|owner| *owner != us)) {
                return Err(DatabaseError::ForeignOwner { dir: dir.to_owned(), owner });
            }
            let gid = rustix::process::getegid().as_raw();
            return Ok(Owner { name: us.to_string(), uid: us, gid, switch: false });
        }
        let users = users();
        let chosen = match dir_owner.filter(|owner| *owner != 0) {
            Some(uid) => users.iter().find(|user| user.uid == uid),
            None => ["postgres", "nobody"].iter().find_map(|name| users.iter().find(|user| user.name == *name)),
        };
        match (chosen, existing, dir_owner) {
            (Some(user), _, _) => Ok(user.clone()),
            (None, Some(dir), Some(owner)) if owner != 0 => {
                Err(DatabaseError::ForeignOwner { dir: dir.to_owned(), owner })
            }
            _ => Err(DatabaseError::NoUser),
        }
    }

    /// A command of this user, deaf to variables of the environment that would steer PostgreSQL.
    pub fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        for name in
            ["PGDATA", "PGPORT", "PGHOST", "PGUSER", "PGDATABASE", "PGOPTIONS", "PGCLIENTENCODING", "PGDATESTYLE"]
        {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C.UTF-8");
        if self.switch {
            // The standard library clears root's supplementary groups with this.
            command.gid(self.gid).uid(self.uid);
        }
        command
    }

    pub fn own(&self, path: &Path) -> Result<(), DatabaseError> {
        if self.switch {
            chown(path, Some(self.uid), Some(self.gid)).map_err(files("give PostgreSQL's user", path))?;
        }
        Ok(())
    }

    /// The first directory on the way to `path`, itself included, that this user may not pass.
    pub fn barrier(&self, path: &Path) -> Option<PathBuf> {
        if !self.switch {
            return None;
        }
        let mut way: Vec<&Path> = path.ancestors().collect();
        way.reverse();
        way.into_iter().find(|dir| !self.may_pass(dir)).map(Path::to_owned)
    }

    fn may_pass(&self, dir: &Path) -> bool {
        let Ok(metadata) = fs::metadata(dir) else { return false };
        let bit = if metadata.uid() == self.uid {
            0o100
        } else if metadata.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        metadata.mode() & bit != 0
    }
}

/// The local users. initdb wants its user in this file as well.
fn users() -> Vec<Owner> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Owner { name, uid, gid, switch: true })
    };
    passwd.lines().filter_map(user).collect()
}

//! Where a cluster, its socket, its log and its locks lie.

use std::{
    fmt::Write as _,
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::owner::Owner;
use crate::database::error::DatabaseError;

/// A socket's path must stay below 108 bytes; this is what `/.s.PGSQL.5432.lock` leaves for its directory.
const SOCKET_DIR_MAX: usize = 86;

/// The places of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// PostgreSQL's own data directory.
    pub cluster: PathBuf,
    /// Set when the cluster lies outside the configured data directory, which PostgreSQL's user cannot reach.
    pub outside: Option<PathBuf>,
    pub(super) base: PathBuf,
    pub(super) socket: PathBuf,
}

impl Home {
    /// The data directory's cluster, if it has one already. Touches nothing.
    pub fn existing(data_dir: &Path) -> Option<PathBuf> {
        let inside = data_dir.join("postgres");
        let outside = outside_base(data_dir).join("postgres");
        [inside, outside].into_iter().find(|dir| match fs::metadata(dir.join("PG_VERSION")) {
            Ok(_) => true,
            // Somebody else's: that is for the caller to explain.
            Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
        })
    }

    /// Chooses and makes the directories around the cluster, not the cluster itself.
    pub(super) fn prepare(data_dir: &Path, owner: &Owner) -> Result<Home, DatabaseError> {
        make_dir(data_dir, 0o711)?;
        let base = match owner.barrier(data_dir) {
            None => match linked_base(data_dir) {
                Some(base) => base,
                None => data_dir.to_owned(),
            },
            Some(barrier) => {
                let inside = data_dir.join("postgres");
                if inside.join("PG_VERSION").is_file() && !inside.is_symlink() {
                    return Err(DatabaseError::Unreachable { dir: inside, barrier, user: owner.name.clone() });
                }
                outside(data_dir)?
            }
        };
        let cluster = base.join("postgres");
        let inner = base.join("socket");
        let socket = if inner.as_os_str().len() <= SOCKET_DIR_MAX { inner } else { short_dir("/tmp", data_dir) };
        Ok(Home { cluster, outside: (base != data_dir).then(|| base.clone()), base, socket })
    }

    pub(super) fn log(&self) -> PathBuf {
        self.base.join("postgres.log")
    }

    /// PostgreSQL's major version, as the cluster says; `None` when there is no cluster yet.
    pub(super) fn version(&self) -> Result<Option<String>, DatabaseError> {
        let file = self.cluster.join("PG_VERSION");
        match fs::read_to_string(&file) {
            Ok(version) => Ok(Some(version.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(files("read", &file)(error)),
        }
    }

    /// The directory of the socket: the owner's alone. One that somebody else laid there is refused.
    pub(super) fn make_socket_dir(&self, owner: &Owner) -> Result<(), DatabaseError> {
        make_dir(&self.socket, 0o700)?;
        let metadata = fs::symlink_metadata(&self.socket).map_err(files("look at", &self.socket))?;
        let us = rustix::process::geteuid().as_raw();
        if !metadata.is_dir() || (metadata.uid() != us && metadata.uid() != owner.uid) {
            return Err(DatabaseError::ForeignOwner { dir: self.socket.clone(), owner: metadata.uid() });
        }
        fs::set_permissions(&self.socket, fs::Permissions::from_mode(0o700)).map_err(files("protect", &self.socket))?;
        owner.own(&self.socket)
    }
}

/// A place that PostgreSQL's user reaches for sure, always the same one for this data directory.
fn outside(data_dir: &Path) -> Result<PathBuf, DatabaseError> {
    let base = outside_base(data_dir);
    make_dir(&base, 0o711)?;
    let metadata = fs::symlink_metadata(&base).map_err(files("look at", &base))?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(DatabaseError::ForeignOwner { dir: base, owner: metadata.uid() });
    }
    // A signpost for people, for `make clean`, and for the day on which the data directory becomes reachable.
    let signpost = data_dir.join("postgres");
    if signpost.is_symlink() && fs::read_link(&signpost).ok().as_deref() != Some(&base.join("postgres")) {
        fs::remove_file(&signpost).map_err(files("replace", &signpost))?;
    }
    if !signpost.exists() && !signpost.is_symlink() {
        symlink(base.join("postgres"), &signpost).map_err(files("make", &signpost))?;
    }
    Ok(base)
}

fn linked_base(data_dir: &Path) -> Option<PathBuf> {
    let signpost = data_dir.join("postgres");
    if !signpost.is_symlink() {
        return None;
    }
    signpost.canonicalize().ok()?.parent().map(Path::to_owned)
}

fn outside_base(data_dir: &Path) -> PathBuf {
    short_dir("/var/tmp", data_dir)
}

fn short_dir(parent: &str, data_dir: &Path) -> PathBuf {
    let digest = Sha256::digest(data_dir.as_os_str().as_bytes());
    let mut name = format!("kopru-{}-", rustix::process::geteuid().as_raw());
    for byte in digest.iter().take(6) {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    Path::new(parent).join(name)
}

/// Makes a directory with its parents; the mode holds whatever the umask, and only if it was made here.
pub(super) fn make_dir(path: &Path, mode: u32) -> Result<(), DatabaseError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_dir(parent, mode | 0o055)?;
    }
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(files("set the mode of", path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(files("make", path)(error)),
    }
}

pub(super) fn files(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DatabaseError {
    let path = path.to_owned();
    move |source| DatabaseError::Files { what, path, source }
}

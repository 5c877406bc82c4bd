//! The private PostgreSQL server of a data directory.
//!
//! Invariants
//! - Only a unix socket in a directory of mode 0700, never a TCP port; who reaches the socket is trusted.
//! - Durable: fsync and page checksums are on, and a data directory appears complete or not at all.
//! - Every process holds a shared lock on the cluster while it uses it. Starting and stopping happen under a second,
//!   exclusive lock; who gets the first one exclusively as well is the last one, and stops the server.
//! - The server outlives the process that started it (its own process group): a kill -9 costs no other process its
//!   connections. It never outlives the last process that leaves in good order.
//! - A data directory is never removed, upgraded or replaced by an empty one: what does not fit is explained.
//!
//! | module | subject |
//! | --- | --- |
//! | `binaries` | which PostgreSQL is installed |
//! | `owner` | the user that the server runs as |
//! | `home` | where the cluster, its socket, its log and its locks lie |
//! | `lock` | the two locks |
//! | `postmaster` | the server process: found, started, stopped |
//! | `cluster` | entering and leaving; making a new one |
//! | `supervised` | starting it again should it die under us |

mod binaries;
mod cluster;
mod home;
mod lock;
mod owner;
mod postmaster;
mod supervised;

pub use binaries::Binaries;
pub use cluster::Cluster;
pub use home::Home;
pub(super) use supervised::Supervised;

/// Superuser and database of the private server.
pub(super) const ROLE: &str = "kopru";

//! The store: connections, migrations, and the private PostgreSQL of an installation without `database.url`.
//!
//! Invariants
//! - A private server belongs to its data directory, not to a process: any number of processes share it, the last one
//!   out stops it, and whoever comes after a kill -9 adopts it or starts it again.
//! - From [`Database::open`] on, a private server and one behind a URL are the same thing.
//! - Migrations are forward-only and let the previous binary run, so a schema newer than this binary is fine.
//! - What a dealer reads of its own is read in a transaction that the database itself holds to that company's rows
//!   ([`read_within`]).
//!
//! Deliberately absent: tables. Each room has its own SQL.

mod embedded;
mod error;
mod inspect;
mod open;
mod schema;
mod scoped;

pub use embedded::{Binaries, Cluster, Home};
pub use error::DatabaseError;
pub use inspect::{Health, health};
pub use open::{Database, LEAST_VERSION, session};
pub use schema::{MIGRATOR, SchemaState, migrate, schema_state};
pub use scoped::{confine, read_within};

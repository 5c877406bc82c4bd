//! What a connector is to the hub.
//!
//! A connector turns the words of one external system into pages, documents and [`Fault`]s. It never waits,
//! retries or stores: the engine does all of that, by the fault that it is given.
//!
//! | module | subject |
//! | --- | --- |
//! | [`connector`] | the traits, and what is passed through them |
//! | [`fault`] | how a call failed, which is to say: what the engine does next |
//! | [`sink`] | what a connector can be told, and what it answers |
//! | [`settings`] | a connector's own block of the configuration, checked as a whole |
//! | [`outbound`] | the one HTTP stack towards other systems: time-outs, rate, size limit, encoding, classing |
//! | [`encoding`] | Turkish code pages |
//! | [`reading`] | reading what was recorded of a system, without the system |
//! | [`sandbox`] | the harness of a simulated system: faults over HTTP or from a file, state kept across kill -9 |
//!
//! Invariants: nothing here knows the database, the commerce tables, the environment or the wall clock's owner.

pub mod connector;
pub mod encoding;
pub mod fault;
pub mod outbound;
pub mod reading;
pub mod sandbox;
pub mod settings;
pub mod sink;

pub use connector::{
    Connector, Ctx, Cursor, Descriptor, Format, Page, Pass, PullRequest, Source, StreamSpec, TakesOff,
};
pub use fault::{Cause, Fault, Refusal};
pub use reading::{Operation, ReadRecords, Reading, Recorded};
pub use settings::{BadSettings, Secret, Settings};
pub use sink::{Outgoing, Outlet, Sent, Sink, Taken, What};

pub use async_trait::async_trait;

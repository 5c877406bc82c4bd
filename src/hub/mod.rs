//! The engine: everything that crosses the hub's border, and what becomes of it.
//!
//! | module | subject |
//! | --- | --- |
//! | [`states`] | the words |
//! | [`engine`], [`daemon`] | what the parts share; the parts started and stopped together |
//! | [`scheduler`], [`pull`], [`runs`], [`cursors`], [`streams`] | polling: who, when, page by page |
//! | [`pages`], [`entities`], [`links`], [`owners`] | how records reach the commerce tables, and whose they are |
//! | [`files`] | watched folders: files of any size, taken once |
//! | [`push_only`] | instances that nobody calls |
//! | [`intake`] | documents that a caller hands over and waits for |
//! | [`messages`], [`worker`], [`documents`] | the queued lane |
//! | [`keyed`] | plans of statements that name rows by their keys |
//! | [`deliveries`] | what is told to others: router, worker, targets |
//! | [`sinks`], [`installation`] | connectors that are told things, and under which name |
//! | [`webhooks`] | addresses that people register to be told of events |
//! | [`sweeps`] | what complete passes do not find any more |
//! | [`patience`] | what starts over when another writer was faster |
//! | [`deferral`], [`dead_letters`], [`letter_ids`] | what waits, and what could not go in |
//! | [`deactivate`] | what a source no longer has |
//! | `handover` | reservations that a system's own figures of stock contain |
//! | [`mappings`] | the mappings in force, edits and answers; what a document would change |
//! | [`verdict`], [`retry`], [`breaker`] | what a fault means: wait, hold, pause or give up |
//! | [`leases`], [`daemons`], [`housekeeping`] | several processes on one database |
//! | [`timeline`], [`history`] | what touched an object; what became of a message |
//! | `recalled` | pushed documents that came before as they are |
//! | [`reconcile`] | passes that compare both sides, and what they found |
//! | [`reading`] | a recorded answer, read without its system |
//! | [`retention`] | history by dropped partitions |
//! | [`meters`], [`checkup`] | what the monitoring and `kopru doctor` are told |
//!
//! Invariants
//! - Received means kept; at least once in, exactly once in effect; newer wins; unchanged costs nothing.
//! - Every early return names the state that it leaves behind; nothing ends in silence.
//! - The database's clock decides leases, receipts and due times.
//!
//! Deliberately absent: what a document means (mappings), what a command does (commerce), what a system's words are
//! (connectors).

pub mod breaker;
pub mod checkup;
pub mod cursors;
pub mod daemon;
pub mod daemons;
pub mod deactivate;
pub mod dead_letters;
pub mod deferral;
pub mod deliveries;
pub mod documents;
pub mod engine;
pub mod entities;
pub mod files;
pub mod handover;
pub mod history;
pub mod housekeeping;
pub mod installation;
pub mod intake;
pub mod keyed;
pub mod leases;
pub mod letter_ids;
pub mod links;
pub mod mappings;
pub mod messages;
pub mod meters;
pub mod owners;
pub mod pages;
pub mod patience;
pub mod pull;
pub mod push_only;
pub mod reading;
mod recalled;
pub mod reconcile;
pub mod retention;
pub mod retry;
pub mod runs;
pub mod scheduler;
pub mod sinks;
pub mod states;
pub mod streams;
pub mod sweeps;
pub mod timeline;
pub mod verdict;
pub mod webhooks;
pub mod worker;

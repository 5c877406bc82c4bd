//! End to end: the real program as processes of its own, against a simulated LOGO in a process of its own, over real
//! sockets and a real PostgreSQL. What is seen is what a person sees: exit codes, output, HTTP, and the rows.
//!
//! | module | subject |
//! | --- | --- |
//! | `process`, `sandbox`, `installation`, `books` | what the tests stand on |
//! | the others | one subject each |

mod answers;
mod books;
mod commands;
mod crash;
mod database;
mod demo;
mod documents;
mod files;
mod installation;
mod mails;
mod mapping_edits;
mod orders_judged;
mod orders_out;
mod outage;
mod paging;
pub mod process;
mod push;
mod records;
mod references;
mod returns_out;
mod sandbox;
mod sweeps;
mod ways;
mod webhooks;

//! The engine, from what a system answers to what stands in the store.

mod daemons;
mod dead_letters;
mod lookups;
mod pages;
mod queue;
mod references;
mod renames;
mod replay_plans;
mod retention;
mod runs;
mod sweep;
mod timeline;
mod versions;

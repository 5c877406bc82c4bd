//! The engine, from what a system answers to what stands in the store.

mod pages;
mod references;
mod renames;
mod versions;

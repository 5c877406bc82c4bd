//! Who sees what: every private table behind its policy, every operation behind its permission.

mod described;
mod operations;
mod routes;
mod rows;

//! LOGO Tiger through the Logo Objects REST service.

pub mod sql;

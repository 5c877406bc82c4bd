//! LOGO Tiger through the Logo Objects REST service.

pub mod sandbox;
pub mod sql;

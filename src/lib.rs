//! Köprü: an ERP integration hub. See ARCHITECTURE.md for the map of the rooms.

pub mod canonical;
pub mod database;
pub mod http;
pub mod telemetry;

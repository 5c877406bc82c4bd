//! Köprü: an ERP integration hub. See ARCHITECTURE.md for the map of the rooms.

pub mod canonical;
pub mod commerce;
pub mod database;
pub mod money;
pub mod outbox;
pub mod turkish;

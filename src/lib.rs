//! Köprü: an ERP integration hub. See ARCHITECTURE.md for the map of the rooms.

pub mod app;
pub mod audit;
pub mod canonical;
pub mod cli;
pub mod clock;
pub mod commerce;
pub mod config;
pub mod daemon;
pub mod database;
pub mod demo;
pub mod http;
pub mod hub;
pub mod identity;
pub mod mail;
pub mod mapping;
pub mod media;
pub mod money;
pub mod outbox;
pub mod page;
pub mod principal;
pub mod seal;
pub mod telemetry;
pub mod transaction;
pub mod turkish;

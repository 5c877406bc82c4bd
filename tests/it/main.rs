//! Integration tests: one binary, one module a surface. Each test that needs a database gets one of its own.

#![allow(clippy::disallowed_methods, reason = "nobody hangs up on a test")]

mod access;
mod admin;
mod audit;
mod catalogue;
mod commands;
mod commerce;
mod config;
mod deliveries;
mod e2e;
mod embedded;
mod erp;
mod files;
mod http;
mod hub;
mod identity;
mod mail;
mod mappings;
mod migrations;
mod orders;
mod people;
mod push;
mod support;
mod transaction;
mod webhooks;

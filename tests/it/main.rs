//! Integration tests: one binary, one module a surface. Each test that needs a database gets one of its own.

mod commerce;
mod migrations;
mod support;

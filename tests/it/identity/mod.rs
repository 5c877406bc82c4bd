//! API keys as a person meets them on the command line, and as the program keeps them.

mod commands;
mod daemon;
mod keys;
mod uses;

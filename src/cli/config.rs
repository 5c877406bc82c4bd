//! `kopru config`: what is in force.

use super::{failure::Failure, output, run::Global};
use crate::config::Config;

pub(super) fn config(global: &Global) -> Result<(), Failure> {
    let config = Config::load(&global.sources())?;
    if global.json { output::print_json(&config.masked()) } else { output::print(&config.masked_toml()) }
}

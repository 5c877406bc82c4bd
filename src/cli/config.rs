//! `kopru config`: what is in force, judged as `serve` judges it.

use super::{failure::Failure, output, run::Global};
use crate::app;

pub(super) fn config(global: &Global) -> Result<(), Failure> {
    let mut config = app::load_config(&global.sources())?;
    app::hide_unknown(&mut config);
    if global.json { output::print_json(&config.masked()) } else { output::print(&config.masked_toml()) }
}

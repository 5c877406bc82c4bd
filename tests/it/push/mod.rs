//! What LOGO pushes: the Integration API, and what it stands on.

mod bad_days;
mod deactivation;
mod described;
pub mod intake;
mod parts;
mod previews;
mod readings;
mod recall;
mod references;
mod site;
mod twins;
mod wire;

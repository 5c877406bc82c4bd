//! What LOGO pushes: the Integration API, and what it stands on.

mod bad_days;
mod deactivation;
mod described;
mod intake;
mod parts;
mod previews;
mod references;

mod site;
mod twins;
mod wire;

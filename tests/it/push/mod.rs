//! What LOGO pushes: the Integration API, and what it stands on.

mod deactivation;
mod intake;

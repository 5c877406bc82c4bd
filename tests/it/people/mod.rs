//! People over real sockets: signing in, tokens, sessions.

mod accounts;
mod administration;
mod keys;
mod lockout;
mod passwords;
mod registration;
mod sign_in;
mod tokens;

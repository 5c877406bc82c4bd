//! People over real sockets: signing in, tokens, sessions.

mod lockout;
mod sign_in;
mod tokens;

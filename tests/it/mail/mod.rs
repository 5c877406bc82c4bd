//! Mails: asked for in a transaction, sealed at rest.

mod asked_for;

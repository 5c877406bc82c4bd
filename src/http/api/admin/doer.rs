//! Who does something, kept for a transaction that may start over.

use chrono::{DateTime, Utc};

use super::super::acting::Acting;
use crate::audit::Actor;

#[derive(Clone)]
pub(super) struct Doer {
    name: String,
    correlation_id: String,
    pub(super) now: DateTime<Utc>,
}

impl Doer {
    pub(super) fn of(acting: &Acting) -> Doer {
        let by = acting.by();
        Doer { name: acting.actor().to_owned(), correlation_id: by.correlation_id.to_owned(), now: by.now }
    }

    pub(super) fn actor(&self) -> Actor<'_> {
        Actor { name: &self.name, correlation_id: &self.correlation_id }
    }
}

//! Who does something, kept for a transaction that may start over.

use chrono::{DateTime, Utc};

use super::super::doing::Doing;
use crate::audit::Actor;

#[derive(Clone)]
pub(super) struct Doer {
    name: String,
    correlation_id: String,
    pub(super) now: DateTime<Utc>,
}

impl Doer {
    pub(super) fn of(doing: &Doing) -> Doer {
        let by = doing.by();
        Doer { name: doing.actor.clone(), correlation_id: by.correlation_id.to_owned(), now: by.now }
    }

    pub(super) fn actor(&self) -> Actor<'_> {
        Actor { name: &self.name, correlation_id: &self.correlation_id }
    }
}

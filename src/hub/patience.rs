//! How often something starts over because another writer was faster.

use super::pages::ApplyError;

/// How often a transaction is tried again before its conflict is an error.
const CONFLICTS: u32 = 20;
/// After so many the records themselves are suspected.
const ISOLATE_AFTER: u32 = 5;

/// The conflicts that one piece of work has had.
#[derive(Debug, Default)]
pub struct Patience {
    conflicts: u32,
}

/// How one try goes about its work.
#[derive(Debug, Clone, Copy)]
pub struct Try {
    pub isolates: bool,
    /// Nothing has gone wrong yet: it may count on what is nearly always so.
    pub is_first: bool,
}

impl Patience {
    /// See [`super::pages::ApplyContext::isolate`].
    pub const fn isolates(&self) -> bool {
        self.conflicts >= ISOLATE_AFTER
    }

    /// See [`Try::is_first`].
    pub const fn is_first(&self) -> bool {
        self.conflicts == 0
    }

    /// For work that somebody else starts over: one more try.
    pub const fn next_try(&mut self) -> Try {
        let next = Try { isolates: self.isolates(), is_first: self.is_first() };
        self.conflicts = self.conflicts.saturating_add(1);
        next
    }

    /// Whether the work is to be tried again at once, in a new transaction.
    pub const fn starts_over(&mut self, error: &ApplyError) -> bool {
        let again = matches!(error, ApplyError::Conflict | ApplyError::Recalled | ApplyError::Unguarded)
            && self.conflicts < CONFLICTS;
        if again {
            self.conflicts += 1;
        }
        again
    }
}

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

impl Patience {
    /// See [`super::pages::ApplyContext::isolate`].
    pub const fn isolates(&self) -> bool {
        self.conflicts >= ISOLATE_AFTER
    }

    /// For work that somebody else starts over: one more try, and whether it isolates.
    pub const fn next_try(&mut self) -> bool {
        let isolates = self.isolates();
        self.conflicts = self.conflicts.saturating_add(1);
        isolates
    }

    /// Whether the work is to be tried again at once, in a new transaction.
    pub const fn starts_over(&mut self, error: &ApplyError) -> bool {
        let again = matches!(error, ApplyError::Conflict) && self.conflicts < CONFLICTS;
        if again {
            self.conflicts += 1;
        }
        again
    }
}

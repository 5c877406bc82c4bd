//! The engine's words. The same ones stand in the store, the API, the console and the CLI.

use serde::Serialize;

/// A set of states as text: parsing, printing and the store agree by construction.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            pub fn parse(text: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|word| word.as_str() == text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// The life of a message and of an item.
    MessageState {
        /// Stored, nobody works on it.
        Received = "received",
        /// Claimed under a lease.
        Working = "working",
        /// Failed remotely, to be tried again at its due time.
        Waiting = "waiting",
        /// Its system is down or paused: waits without spending attempts.
        Held = "held",
        /// Refers to something that is not there yet.
        Deferred = "deferred",
        /// An earlier document of its key is dead.
        Blocked = "blocked",
        Done = "done",
        /// Equal to what is there.
        Unchanged = "unchanged",
        /// Older than what is there.
        Stale = "stale",
        /// A newer document of its key made it needless.
        Superseded = "superseded",
        Dead = "dead",
        Discarded = "discarded",
    }
}

impl MessageState {
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            MessageState::Done
                | MessageState::Unchanged
                | MessageState::Stale
                | MessageState::Superseded
                | MessageState::Dead
                | MessageState::Discarded
        )
    }
}

words! {
    /// The life of a delivery.
    DeliveryState {
        /// Made, nobody works on it.
        Received = "received",
        /// Claimed under a lease.
        Working = "working",
        /// Failed remotely, to be tried again at its due time.
        Waiting = "waiting",
        /// Its target is down, paused or not configured: waits without spending attempts.
        Held = "held",
        /// An earlier one of its key is dead.
        Blocked = "blocked",
        Done = "done",
        /// A newer one of its key made it needless.
        Superseded = "superseded",
        /// Beside its letter until somebody resolves that.
        Dead = "dead",
        Discarded = "discarded",
        /// Called off by a person.
        Cancelled = "cancelled",
    }
}

words! {
    RunState {
        Requested = "requested",
        Running = "running",
        Done = "done",
        Failed = "failed",
        /// Stopped on purpose or with its daemon; the cursor says where the next one goes on.
        Interrupted = "interrupted",
    }
}

words! {
    Trigger {
        Schedule = "schedule",
        Manual = "manual",
        /// Takes up a full pass that was interrupted.
        Resume = "resume",
        /// Compares every record with the store.
        Reconcile = "reconcile",
    }
}

words! {
    /// How a stream looks to a person.
    StreamState {
        OnTime = "on_time",
        /// Its last success is older than twice its period.
        Late = "late",
        /// A run has been going on without progress.
        Stuck = "stuck",
        /// Never ran, or not since a day.
        Silent = "silent",
        Paused = "paused",
        /// Its last run failed.
        Failing = "failing",
    }
}

words! {
    BreakerState {
        Closed = "closed",
        Open = "open",
        HalfOpen = "half_open",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_parses_back_and_nothing_else_does() {
        for state in MessageState::ALL {
            assert_eq!(MessageState::parse(state.as_str()), Some(*state));
        }
        assert_eq!(MessageState::parse("finished"), None);
        assert_eq!(MessageState::ALL.iter().filter(|state| state.is_final()).count(), 6);
    }
}

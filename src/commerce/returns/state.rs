//! The states of a return and the moves between them: the one table of it.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReturnState {
    Requested,
    /// The goods may come.
    Approved,
    Rejected,
    /// They are in a warehouse.
    Received,
}

impl ReturnState {
    pub const ALL: [ReturnState; 4] =
        [ReturnState::Requested, ReturnState::Approved, ReturnState::Rejected, ReturnState::Received];

    /// The states that may follow this one.
    pub const fn moves(self) -> &'static [ReturnState] {
        match self {
            ReturnState::Requested => &[ReturnState::Approved, ReturnState::Rejected],
            // Approved goods that never come, or come broken, are rejected after all.
            ReturnState::Approved => &[ReturnState::Received, ReturnState::Rejected],
            ReturnState::Rejected | ReturnState::Received => &[],
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            ReturnState::Requested => "requested",
            ReturnState::Approved => "approved",
            ReturnState::Rejected => "rejected",
            ReturnState::Received => "received",
        }
    }

    pub fn parse(text: &str) -> Option<ReturnState> {
        ReturnState::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for ReturnState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why something comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnReason {
    Damaged,
    WrongItem,
    Defective,
    NotWanted,
    Other,
}

impl ReturnReason {
    pub const ALL: [ReturnReason; 5] = [
        ReturnReason::Damaged,
        ReturnReason::WrongItem,
        ReturnReason::Defective,
        ReturnReason::NotWanted,
        ReturnReason::Other,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            ReturnReason::Damaged => "damaged",
            ReturnReason::WrongItem => "wrong_item",
            ReturnReason::Defective => "defective",
            ReturnReason::NotWanted => "not_wanted",
            ReturnReason::Other => "other",
        }
    }

    pub fn parse(text: &str) -> Option<ReturnReason> {
        ReturnReason::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for state in ReturnState::ALL {
            assert_eq!(ReturnState::parse(state.as_str()), Some(state));
        }
        for reason in ReturnReason::ALL {
            assert_eq!(ReturnReason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(ReturnReason::parse("bored"), None);
    }

    #[test]
    fn what_is_rejected_or_received_stays_so() {
        let last: Vec<_> = ReturnState::ALL.into_iter().filter(|state| state.moves().is_empty()).collect();
        assert_eq!(last, [ReturnState::Rejected, ReturnState::Received]);
    }
}

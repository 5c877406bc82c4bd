//! The states of an order and the moves between them: the one table of it.

use std::fmt;

use rust_decimal::Decimal;

/// What an order waits for, or what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// A person of the house has to look at it.
    PendingApproval,
    /// The card has not been charged yet; what it reserves is held until it expires.
    PendingPayment,
    /// It is an order: the ERP gets it.
    Confirmed,
    /// The warehouse works on it.
    Processing,
    Shipped,
    Delivered,
    /// Delivered, invoiced and past its returns.
    Completed,
    Cancelled,
    Returned,
}

/// A move that the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the order is {from} and cannot become {to}")]
pub struct Forbidden {
    pub from: State,
    pub to: State,
}

impl Forbidden {
    /// Where the order could go instead.
    pub const fn allowed(&self) -> &'static [State] {
        self.from.moves()
    }
}

impl State {
    pub const ALL: [State; 9] = [
        State::PendingApproval,
        State::PendingPayment,
        State::Confirmed,
        State::Processing,
        State::Shipped,
        State::Delivered,
        State::Completed,
        State::Cancelled,
        State::Returned,
    ];

    /// The states that may follow this one.
    pub const fn moves(self) -> &'static [State] {
        match self {
            State::PendingApproval => &[State::PendingPayment, State::Confirmed, State::Cancelled],
            State::PendingPayment => &[State::Confirmed, State::Cancelled],
            State::Confirmed => &[State::Processing, State::Shipped, State::Cancelled],
            State::Processing => &[State::Shipped, State::Cancelled],
            State::Shipped => &[State::Delivered, State::Returned],
            State::Delivered => &[State::Completed, State::Returned],
            State::Completed => &[State::Returned],
            State::Cancelled | State::Returned => &[],
        }
    }

    /// The state after the move, if there is such a move.
    pub fn to(self, to: State) -> Result<State, Forbidden> {
        if self.moves().contains(&to) { Ok(to) } else { Err(Forbidden { from: self, to }) }
    }

    /// Nothing follows it.
    pub const fn is_final(self) -> bool {
        self.moves().is_empty()
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            State::PendingApproval => "pending_approval",
            State::PendingPayment => "pending_payment",
            State::Confirmed => "confirmed",
            State::Processing => "processing",
            State::Shipped => "shipped",
            State::Delivered => "delivered",
            State::Completed => "completed",
            State::Cancelled => "cancelled",
            State::Returned => "returned",
        }
    }

    pub fn parse(text: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A line of goods, in its unit: what was wanted in the end, and what of it came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Returned {
    pub wanted: Decimal,
    pub returned: Decimal,
}

/// Whether nothing of an order is left with the dealer: all that was wanted was delivered and came back.
pub fn everything_came_back(lines: &[Returned]) -> bool {
    lines.iter().all(|line| line.returned >= line.wanted) && lines.iter().any(|line| line.returned > Decimal::ZERO)
}

/// How an order is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentMethod {
    /// On the dealer's current account, within its credit limit.
    Account,
    Card,
}

impl PaymentMethod {
    pub const ALL: [PaymentMethod; 2] = [PaymentMethod::Account, PaymentMethod::Card];

    pub const fn as_str(self) -> &'static str {
        match self {
            PaymentMethod::Account => "account",
            PaymentMethod::Card => "card",
        }
    }

    pub fn parse(text: &str) -> Option<PaymentMethod> {
        PaymentMethod::ALL.into_iter().find(|method| method.as_str() == text)
    }

    /// Where an order goes that nobody has to approve, or that was approved.
    pub const fn next(self) -> State {
        match self {
            PaymentMethod::Account => State::Confirmed,
            PaymentMethod::Card => State::PendingPayment,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
        for method in PaymentMethod::ALL {
            assert_eq!(PaymentMethod::parse(method.as_str()), Some(method));
        }
        assert_eq!(State::parse("open"), None);
    }

    #[test]
    fn a_forbidden_move_names_the_allowed_ones() {
        let refused = State::Shipped.to(State::Cancelled).expect_err("what is on its way is not cancelled");
        assert_eq!(refused.allowed(), [State::Delivered, State::Returned]);
        assert_eq!(refused.to_string(), "the order is shipped and cannot become cancelled");
        assert_eq!(State::Cancelled.to(State::Confirmed).expect_err("it is over").allowed(), []);
    }

    #[test]
    fn an_order_came_back_when_all_of_it_did() {
        let lines = |figures: &[(i64, i64)]| {
            let line = |&(wanted, returned): &(i64, i64)| Returned { wanted: wanted.into(), returned: returned.into() };
            figures.iter().map(line).collect::<Vec<_>>()
        };
        assert!(everything_came_back(&lines(&[(3, 3), (0, 0), (2, 2)])));
        assert!(!everything_came_back(&lines(&[(3, 3), (2, 1)])));
        assert!(!everything_came_back(&lines(&[(0, 0)])), "what was cancelled never left");
    }

    #[test]
    fn every_state_is_reached_and_none_twice() {
        let mut reached: HashSet<State> = PaymentMethod::ALL.map(PaymentMethod::next).into();
        reached.insert(State::PendingApproval);
        for _ in State::ALL {
            reached.extend(reached.clone().into_iter().flat_map(State::moves));
        }
        assert_eq!(reached.len(), State::ALL.len());
        for state in State::ALL {
            let mut from_here: HashSet<State> = state.moves().iter().copied().collect();
            for _ in State::ALL {
                from_here.extend(from_here.clone().into_iter().flat_map(State::moves));
            }
            assert!(!from_here.contains(&state), "{state} would come again");
        }
    }

    proptest! {
        /// Whatever is tried, an order enters `confirmed` once at most, and a refused move leaves it where it was.
        #[test]
        fn an_order_is_confirmed_once(tries in prop::collection::vec(0..State::ALL.len(), 0..60), card in any::<bool>()) {
            let method = if card { PaymentMethod::Card } else { PaymentMethod::Account };
            for begin in [State::PendingApproval, method.next()] {
                let mut state = begin;
                let mut confirmed = u32::from(begin == State::Confirmed);
                for at in &tries {
                    match state.to(State::ALL[*at]) {
                        Ok(next) => {
                            prop_assert!(!state.is_final());
                            confirmed += u32::from(next == State::Confirmed);
                            state = next;
                        }
                        Err(refused) => prop_assert_eq!(refused.from, state),
                    }
                }
                prop_assert!(confirmed <= 1);
            }
        }
    }
}

//! Which orders a person has to look at, and how long things are held. Numbers are configuration; what they mean is here.

use std::time::Duration;

use rust_decimal::Decimal;

use super::{PaymentMethod, State, credit::Credit};

/// What is done about an order on account that a dealer's account does not bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Ignore,
    /// Somebody has to approve it.
    Hold,
    Refuse,
}

/// The configured part of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderRules {
    /// Orders of more than this, VAT included, are approved by a person, in whichever currency. `None`: whatever they cost.
    pub approve_above: Option<Decimal>,
    /// So many first orders of a dealer are.
    pub approve_first_orders: u32,
    /// Orders on account beyond the credit limit.
    pub over_limit: Policy,
    /// Orders on account while something is overdue.
    pub overdue: Policy,
    /// How long an order by card holds its stock before it is paid.
    pub unpaid_for: Duration,
    /// How long an order holds its stock that nobody approves or rejects. `None`: until somebody does.
    pub undecided_for: Option<Duration>,
    /// How long a cart lives that nobody changes.
    pub cart_for: Duration,
    /// Whether a price of 0 is one.
    pub allow_zero_price: bool,
}

impl Default for OrderRules {
    fn default() -> OrderRules {
        OrderRules {
            approve_above: None,
            approve_first_orders: 0,
            over_limit: Policy::Hold,
            overdue: Policy::Hold,
            unpaid_for: Duration::from_secs(30 * 60),
            undecided_for: Some(Duration::from_secs(7 * 24 * 3600)),
            cart_for: Duration::from_secs(7 * 24 * 3600),
            allow_zero_price: false,
        }
    }
}

/// Why an order waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalReason {
    Amount,
    CreditLimit,
    Overdue,
    NewDealer,
}

impl ApprovalReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            ApprovalReason::Amount => "amount",
            ApprovalReason::CreditLimit => "credit_limit",
            ApprovalReason::Overdue => "overdue",
            ApprovalReason::NewDealer => "new_dealer",
        }
    }
}

/// The dealer's account does not bear the order, and orders like that are refused here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbearable {
    CreditLimit,
    Overdue,
}

/// What is known of an order when it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case<'a> {
    pub total: Decimal,
    /// `None`: paid by card, so the account has no say.
    pub credit: Option<&'a Credit>,
    /// Of this dealer before, counted as far as the rule asks.
    pub orders_before: u32,
}

impl OrderRules {
    /// Why somebody has to approve the order; empty: nobody has to.
    pub fn judge(&self, case: &Case<'_>) -> Result<Vec<ApprovalReason>, Unbearable> {
        let mut reasons = Vec::new();
        if self.approve_above.is_some_and(|limit| case.total > limit) {
            reasons.push(ApprovalReason::Amount);
        }
        if let Some(credit) = case.credit {
            match self.over_limit {
                Policy::Refuse if credit.is_exceeded_by(case.total) => return Err(Unbearable::CreditLimit),
                Policy::Hold if credit.is_exceeded_by(case.total) => reasons.push(ApprovalReason::CreditLimit),
                _ => {}
            }
            match self.overdue {
                Policy::Refuse if credit.overdue > Decimal::ZERO => return Err(Unbearable::Overdue),
                Policy::Hold if credit.overdue > Decimal::ZERO => reasons.push(ApprovalReason::Overdue),
                _ => {}
            }
        }
        if case.orders_before < self.approve_first_orders {
            reasons.push(ApprovalReason::NewDealer);
        }
        Ok(reasons)
    }

    /// Whether the dealer's account bears an order that was held for `reasons` and is approved now. What it was held for is
    /// what the approver decided about; whoever `may_exceed` decides about all of it.
    pub fn judge_again(
        &self,
        total: Decimal,
        credit: &Credit,
        reasons: &[String],
        may_exceed: bool,
    ) -> Result<(), Unbearable> {
        let decided = |reason: ApprovalReason| may_exceed || reasons.iter().any(|it| it == reason.as_str());
        let over = self.over_limit != Policy::Ignore && credit.is_exceeded_by(total);
        let overdue = self.overdue != Policy::Ignore && credit.overdue > Decimal::ZERO;
        match () {
            () if over && !decided(ApprovalReason::CreditLimit) => Err(Unbearable::CreditLimit),
            () if overdue && !decided(ApprovalReason::Overdue) => Err(Unbearable::Overdue),
            () => Ok(()),
        }
    }

    /// How long an order may stay in a state. `None`: it does not run out.
    pub const fn runs_out(&self, state: State) -> Option<Duration> {
        match state {
            State::PendingPayment => Some(self.unpaid_for),
            State::PendingApproval => self.undecided_for,
            _ => None,
        }
    }

    /// Where an order begins.
    pub fn first_state(reasons: &[ApprovalReason], method: PaymentMethod) -> State {
        if reasons.is_empty() { method.next() } else { State::PendingApproval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credit(limit: Option<i64>, used: i64, overdue: i64) -> Credit {
        Credit { limit: limit.map(Decimal::from), used: used.into(), overdue: overdue.into(), same_currency: true }
    }

    fn case(total: i64, credit: Option<&Credit>) -> Case<'_> {
        Case { total: total.into(), credit, orders_before: 3 }
    }

    #[test]
    fn an_ordinary_order_needs_nobody() {
        let rules = OrderRules { approve_above: Some(100.into()), ..OrderRules::default() };
        assert_eq!(rules.judge(&case(100, Some(&credit(Some(150), 50, 0)))), Ok(vec![]));
        assert_eq!(rules.judge(&case(100, Some(&credit(None, 1_000_000, 0)))), Ok(vec![]));
        assert_eq!(OrderRules::first_state(&[], PaymentMethod::Card), State::PendingPayment);
    }

    #[test]
    fn every_reason_is_told() {
        let rules = OrderRules { approve_above: Some(100.into()), approve_first_orders: 4, ..OrderRules::default() };
        let reasons = rules.judge(&case(101, Some(&credit(Some(150), 50, 1)))).expect("held");
        assert_eq!(
            reasons,
            [ApprovalReason::Amount, ApprovalReason::CreditLimit, ApprovalReason::Overdue, ApprovalReason::NewDealer]
        );
        assert_eq!(OrderRules::first_state(&reasons, PaymentMethod::Account), State::PendingApproval);
    }

    #[test]
    fn what_is_paid_by_card_asks_no_account() {
        assert_eq!(OrderRules::default().judge(&case(1_000, None)), Ok(vec![]));
    }

    #[test]
    fn a_policy_may_refuse_or_look_away() {
        let broke = credit(Some(0), 0, 5);
        let rules = OrderRules { over_limit: Policy::Refuse, ..OrderRules::default() };
        assert_eq!(rules.judge(&case(1, Some(&broke))), Err(Unbearable::CreditLimit));
        let rules = OrderRules { over_limit: Policy::Ignore, overdue: Policy::Refuse, ..OrderRules::default() };
        assert_eq!(rules.judge(&case(1, Some(&broke))), Err(Unbearable::Overdue));
        let rules = OrderRules { over_limit: Policy::Ignore, overdue: Policy::Ignore, ..OrderRules::default() };
        assert_eq!(rules.judge(&case(1, Some(&broke))), Ok(vec![]));
    }

    #[test]
    fn who_approves_decides_about_what_it_was_held_for() {
        let (rules, full) = (OrderRules::default(), credit(Some(100), 90, 5));
        let held = |reasons: &[ApprovalReason]| reasons.iter().map(|it| it.as_str().to_owned()).collect::<Vec<_>>();
        let ask = |reasons: &[ApprovalReason], may| rules.judge_again(20.into(), &full, &held(reasons), may);
        assert_eq!(ask(&[ApprovalReason::Amount], false), Err(Unbearable::CreditLimit));
        assert_eq!(ask(&[ApprovalReason::CreditLimit], false), Err(Unbearable::Overdue));
        assert_eq!(ask(&[ApprovalReason::CreditLimit, ApprovalReason::Overdue], false), Ok(()));
        assert_eq!(ask(&[], true), Ok(()));
        assert_eq!(rules.judge_again(10.into(), &credit(Some(100), 90, 0), &[], false), Ok(()));
        let ignoring = OrderRules { over_limit: Policy::Ignore, overdue: Policy::Ignore, ..rules };
        assert_eq!(ignoring.judge_again(20.into(), &full, &[], false), Ok(()));
    }

    #[test]
    fn a_limit_says_nothing_about_another_currency() {
        let foreign = Credit { same_currency: false, ..credit(Some(1_000), 0, 0) };
        assert_eq!(
            OrderRules::default().judge(&case(1, Some(&foreign))),
            Ok(vec![ApprovalReason::CreditLimit]),
            "nobody can say what it comes to, so somebody looks"
        );
    }
}

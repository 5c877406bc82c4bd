//! When a sweep goes on by itself.

use crate::canonical::Entity;

/// What is done about records that are not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Deactivated below the guard, asked about above it.
    #[default]
    Auto,
    /// Always asked about.
    Ask,
    /// Nothing; passes are not marked.
    Off,
}

impl Mode {
    pub const NAMES: [&'static str; 3] = ["auto", "ask", "off"];

    pub fn parse(name: &str) -> Option<Mode> {
        match name {
            "auto" => Some(Mode::Auto),
            "ask" => Some(Mode::Ask),
            "off" => Some(Mode::Off),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepPolicy {
    pub mode: Mode,
    /// Of the stream's records, above which a person is asked.
    pub guard_percent: u32,
}

impl Default for SweepPolicy {
    fn default() -> SweepPolicy {
        SweepPolicy { mode: Mode::Auto, guard_percent: 10 }
    }
}

/// So few are never too many: a small list loses its tenth part easily.
const FEW: i64 = 10;

/// What a complete pass found and missed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Findings {
    pub seen: i64,
    pub unidentified: i64,
    pub total: i64,
    pub candidates: i64,
}

impl SweepPolicy {
    /// Why a person is to be asked; `None`: it goes on.
    pub(super) fn asks(&self, found: Findings) -> Option<String> {
        let Findings { seen, unidentified, total, candidates } = found;
        if self.mode != Mode::Auto {
            Some("sweep = \"ask\"".to_owned())
        } else if seen == 0 {
            Some("the pass found no record at all".to_owned())
        } else if unidentified > 0 {
            Some(format!("{unidentified} records came without a readable code, and may be any of these"))
        } else if candidates > FEW && i128::from(candidates) * 100 > i128::from(self.guard_percent) * i128::from(total)
        {
            Some(format!("{candidates} of {total} are more than {} %", self.guard_percent))
        } else {
            None
        }
    }
}

/// Whether records of this entity can be swept at all. Documents cannot: a system that begins a new period does not list
/// those of the old one any more, and they stand all the same.
pub const fn is_swept(entity: Entity) -> bool {
    !matches!(entity, Entity::UnitSet | Entity::Stock | Entity::Order | Entity::Invoice | Entity::Ledger)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(policy: SweepPolicy, candidates: i64, total: i64) -> bool {
        policy.asks(Findings { seen: total - candidates, unidentified: 0, total, candidates }).is_some()
    }

    #[test]
    fn above_the_guard_and_more_than_a_few_a_person_is_asked() {
        let policy = SweepPolicy::default();
        assert!(!asks(policy, 100, 1000));
        assert!(asks(policy, 101, 1000));
        assert!(!asks(policy, 10, 20));
        assert!(asks(policy, 11, 20));
        assert!(asks(SweepPolicy { mode: Mode::Ask, ..policy }, 1, 1000));
        assert!(asks(SweepPolicy { guard_percent: 0, ..policy }, 11, 1_000_000));
        assert!(!asks(SweepPolicy { guard_percent: 100, ..policy }, 999, 1000));
    }

    #[test]
    fn a_pass_that_cannot_be_trusted_asks() {
        let policy = SweepPolicy { guard_percent: 100, ..SweepPolicy::default() };
        let found = Findings { seen: 9, unidentified: 0, total: 10, candidates: 1 };
        assert!(policy.asks(found).is_none());
        assert!(policy.asks(Findings { seen: 0, ..found }).is_some());
        assert!(policy.asks(Findings { unidentified: 1, ..found }).is_some());
    }
}

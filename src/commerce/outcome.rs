//! What became of each row of a page.

use std::fmt;

/// Why a row was refused: the field by its canonical name, the rule, the value that broke it, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub field: &'static str,
    pub rule: &'static str,
    pub value: Option<String>,
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Updated,
    Unchanged,
    Refused(Violation),
}

/// The outcomes of a page while they are found.
#[derive(Debug)]
pub(crate) struct Outcomes(Vec<Option<Outcome>>);

impl Outcomes {
    pub(crate) fn new(rows: usize) -> Outcomes {
        Outcomes(vec![None; rows])
    }

    pub(crate) fn set(&mut self, place: usize, outcome: Outcome) {
        self.0[place] = Some(outcome);
    }

    pub(crate) fn refuse(&mut self, place: usize, violation: Violation) {
        self.set(place, Outcome::Refused(violation));
    }

    /// A row of which nothing was heard is an existing one whose record is gone: the caller's link points nowhere.
    pub(crate) fn finish(self) -> Vec<Outcome> {
        self.0
            .into_iter()
            .map(|outcome| {
                outcome.unwrap_or_else(|| {
                    Outcome::Refused(Violation {
                        field: "id",
                        rule: "missing_record",
                        value: None,
                        detail: "the record that this row would change is not in the store".to_owned(),
                    })
                })
            })
            .collect()
    }
}

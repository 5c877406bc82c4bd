//! Which items a query of their units is about.

/// The items of one page. Either way the text is bounded: a range is two numbers, a list is cut by its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichItems {
    /// From the first LOGICALREF to the last, both included.
    Range(i64, i64),
    /// These LOGICALREFs.
    Only(Vec<i64>),
}

const RANGE: (&str, &str) = ("I.LOGICALREF BETWEEN ", " AND ");
const LIST: (&str, &str) = ("I.LOGICALREF IN (", ")");

impl WhichItems {
    pub fn contains(&self, reference: i64) -> bool {
        match self {
            WhichItems::Range(first, last) => (*first..=*last).contains(&reference),
            WhichItems::Only(list) => list.contains(&reference),
        }
    }

    pub(super) fn predicate(&self) -> String {
        match self {
            WhichItems::Range(first, last) => format!("{}{first}{}{last}", RANGE.0, RANGE.1),
            WhichItems::Only(list) => {
                let list: Vec<String> = list.iter().map(i64::to_string).collect();
                format!("{}{}{}", LIST.0, list.join(","), LIST.1)
            }
        }
    }

    pub(super) fn read(text: &str) -> Option<WhichItems> {
        if let Some(range) = text.strip_prefix(RANGE.0) {
            let (first, last) = range.split_once(RANGE.1)?;
            return Some(WhichItems::Range(first.parse().ok()?, last.parse().ok()?));
        }
        let list = text.strip_prefix(LIST.0)?.strip_suffix(LIST.1)?;
        list.split(',').map(|reference| reference.parse().ok()).collect::<Option<Vec<i64>>>().map(WhichItems::Only)
    }
}

//! What was changed, and when: a number for each subject.
//!
//! Every round of changes has a number, rising by one. What is kept bears the number that stood before it was read, and holds as
//! long as its subject was not changed in a later round. So nothing has to be taken out when something changes, and what was
//! on its way from the store meanwhile is not believed either.

use std::sync::atomic::{AtomicU64, Ordering};

/// Products share numbers; one that is changed makes its few neighbours be read anew.
const SHARES: usize = 1 << 16;

#[derive(Debug)]
pub(super) struct Stamps {
    now: AtomicU64,
    all: AtomicU64,
    pages: AtomicU64,
    dealers: AtomicU64,
    products: Box<[AtomicU64]>,
}

/// One round of changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Something that everything may show, or nobody knows what.
    pub all: bool,
    /// Which products are in which list, and where.
    pub pages: bool,
    pub dealers: bool,
    pub products: Vec<i64>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

impl Default for Stamps {
    fn default() -> Stamps {
        Stamps {
            now: AtomicU64::new(1),
            all: AtomicU64::new(1),
            pages: AtomicU64::new(0),
            dealers: AtomicU64::new(0),
            products: (0..SHARES).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Stamps {
    /// The number that whatever is read from now on bears.
    pub fn now(&self) -> u64 {
        self.now.load(Ordering::Acquire)
    }

    /// By one caller at a time.
    pub fn change(&self, changes: &Changes) {
        if changes.is_empty() {
            return;
        }
        let round = self.now() + 1;
        let mark = |stamp: &AtomicU64| stamp.store(round, Ordering::Release);
        for id in &changes.products {
            mark(self.product(*id));
        }
        for (changed, stamp) in
            [(changes.all, &self.all), (changes.pages, &self.pages), (changes.dealers, &self.dealers)]
        {
            if changed {
                mark(stamp);
            }
        }
        // Last: whoever bears this number has begun to read after all that is marked with it.
        mark(&self.now);
    }

    pub fn product_holds(&self, id: i64, stamp: u64) -> bool {
        self.holds(self.product(id), stamp)
    }

    pub fn page_holds(&self, stamp: u64) -> bool {
        self.holds(&self.pages, stamp)
    }

    pub fn dealer_holds(&self, stamp: u64) -> bool {
        self.holds(&self.dealers, stamp)
    }

    fn holds(&self, subject: &AtomicU64, stamp: u64) -> bool {
        stamp >= subject.load(Ordering::Acquire) && stamp >= self.all.load(Ordering::Acquire)
    }

    fn product(&self, id: i64) -> &AtomicU64 {
        // The lowest bits: ids of one page are neighbours.
        &self.products[id.unsigned_abs() as usize % SHARES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_does_not_hold() {
        let stamps = Stamps::default();
        let before = stamps.now();
        stamps.change(&Changes::default());
        assert_eq!(stamps.now(), before, "nothing changed");
        stamps.change(&Changes { products: vec![7], ..Changes::default() });
        assert!(!stamps.product_holds(7, before) && stamps.product_holds(8, before));
        assert!(stamps.page_holds(before) && stamps.dealer_holds(before));
        let after = stamps.now();
        assert!(stamps.product_holds(7, after), "it was read after the change");
        stamps.change(&Changes { pages: true, ..Changes::default() });
        assert!(!stamps.page_holds(after) && stamps.product_holds(7, after));
        stamps.change(&Changes { all: true, ..Changes::default() });
        assert!(!stamps.product_holds(8, after) && !stamps.dealer_holds(after) && !stamps.page_holds(after));
        assert!(stamps.page_holds(stamps.now()));
    }
}

//! What has changed since products were written down, as the statement that reads them saw it.

use std::collections::HashSet;

use sqlx::{Row as _, postgres::PgRow};

/// More notes than that, and nothing that is written down is shown.
const MOST_NOTES: usize = 500;

/// Which transactions somebody has seen.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    /// All below had ended.
    pub all_below: u64,
    none_from: u64,
    running: Vec<u64>,
}

impl Snapshot {
    /// As the store tells it: `10:20:10,14`.
    pub fn parse(text: &str) -> Option<Snapshot> {
        let mut parts = text.split(':');
        let (all_below, none_from) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let running = parts.next()?.split(',').filter(|xid| !xid.is_empty()).map(str::parse);
        Some(Snapshot { all_below, none_from, running: running.collect::<Result<_, _>>().ok()? })
    }

    fn sees(&self, xid: u64) -> bool {
        xid < self.all_below || (xid < self.none_from && !self.running.contains(&xid))
    }
}

/// Columns 0 to 2 of a row over `commerce.shelf_state s`; $1 the form, $2 a transaction of which older ones are wanted as well, if there
/// is one. The bound is a query of its own: the store, which cannot know it, then walks the index however few notes there were when
/// it made its plan.
macro_rules! news_sql {
    () => {
        "s.ready and s.form = $1, s.snapshot,
         array(select n.xid || case when n.kind = 'dealer' then ' d ' when n.kind = 'all' then ' a '
                                    when n.of_prices then ' p ' else ' s ' end
                      || coalesce(case when cardinality(n.ids) <= 200 then array_to_string(n.ids, ' ') end, '*')
               from commerce.catalogue_change n
               where n.xid >= least(pg_snapshot_xmin(s.snapshot::pg_snapshot), $2::text::xid8)
               order by n.xid desc
               limit (select 501))"
    };
}
pub(super) use news_sql;

/// Products of which something is not as it is written down.
#[derive(Debug, Default)]
struct Changed {
    all: bool,
    ids: HashSet<i64>,
}

impl Changed {
    fn note(&mut self, ids: &str) {
        match ids.split(' ').filter(|id| !id.is_empty()).map(str::parse).collect::<Result<Vec<i64>, _>>() {
            Ok(ids) => self.ids.extend(ids),
            Err(_) => self.all = true,
        }
    }

    fn has(&self, id: i64) -> bool {
        self.all || self.ids.contains(&id)
    }
}

#[derive(Debug)]
pub(super) struct News {
    products: Changed,
    stock: Changed,
    /// Something about customers and their price lists that is new to who remembers one.
    pub dealers: bool,
}

impl News {
    /// `dealer`: what was seen when the dealer was read.
    pub fn read(row: &PgRow, dealer: Option<&Snapshot>) -> Result<News, sqlx::Error> {
        let (good, snapshot): (Option<bool>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        let notes: Vec<String> = row.try_get(2)?;
        let written = snapshot.as_deref().and_then(Snapshot::parse).filter(|_| good == Some(true));
        let lost = notes.len() > MOST_NOTES;
        let mut news = News {
            products: Changed { all: lost || written.is_none(), ids: HashSet::new() },
            stock: Changed::default(),
            dealers: lost,
        };
        for note in &notes {
            let mut parts = note.splitn(3, ' ');
            let (xid, kind, ids) = (parts.next(), parts.next(), parts.next().unwrap_or("*"));
            let Some(xid) = xid.and_then(|xid| xid.parse().ok()) else { continue };
            let is_new = written.as_ref().is_some_and(|seen| !seen.sees(xid));
            match kind {
                Some("p") if is_new => news.products.note(ids),
                Some("s") if is_new => news.stock.note(ids),
                Some("d") => news.dealers |= dealer.is_some_and(|seen| !seen.sees(xid)),
                _ => {}
            }
        }
        Ok(news)
    }

    /// Whether what is written down of this product holds, but for its stock.
    pub fn holds(&self, id: i64) -> bool {
        !self.products.has(id)
    }

    pub fn stock_holds(&self, id: i64) -> bool {
        !self.stock.has(id)
    }
}

#[cfg(test)]
mod tests {
    use super::Snapshot;

    #[test]
    fn a_snapshot_sees_what_had_ended() {
        let seen = Snapshot::parse("10:20:10,14").expect("a snapshot");
        let of: Vec<u64> = [9, 10, 11, 14, 19, 20].into_iter().filter(|xid| seen.sees(*xid)).collect();
        assert_eq!(of, [9, 11, 19]);
        assert!(Snapshot::parse("10:10:").is_some_and(|seen| seen.sees(9) && !seen.sees(10)));
        for wrong in ["", "1", "1:2", "a:2:", "1:2:x"] {
            assert!(Snapshot::parse(wrong).is_none(), "{wrong}");
        }
    }
}

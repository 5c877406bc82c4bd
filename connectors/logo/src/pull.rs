//! Reading a stream page by page.
//!
//! Invariants
//! - A pass ends at an empty page. A short one proves nothing: sites cap pages, and servers cap queries.
//! - Full passes go by LOGICALREF alone, which the tables are clustered by and which new rows are added to at the end.
//! - Incremental passes go by (stamp, LOGICALREF) in strict tuple order: nothing is lost where stamps are equal across
//!   a page border. The first page steps back by the overlap, because a row is stamped before it is committed.
//! - The position after a pass is the server's clock from before its first page. What changes during the pass is read
//!   again by the next one; a row stamped in the future moves nothing.
//! - A page that does not lead on is a fault, never an endless loop.
//! - A page larger than an answer may be is asked for again with half the rows, down to one; the smaller page stays until
//!   the pass ends. One record that is too large by itself stops its stream for a person, and is no outage.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Europe::Istanbul;
use kopru_sdk::{Ctx, Cursor, Fault, Format, Page, Pass, PullRequest};
use serde::{Deserialize, Serialize};

use crate::{
    client::LogoClient,
    read,
    settings::Via,
    sql::{Children, Query, WhichItems},
    streams::{Resource, Stream},
    wire::{self, Key, List},
};

/// What the cursor holds. `began` is the server's clock when the pass began, for streams that know changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
enum Position {
    /// Between passes.
    Rest {
        since: Option<NaiveDateTime>,
    },
    SqlFull {
        began: Option<NaiveDateTime>,
        record: i64,
        warehouse: i64,
    },
    /// For stock, `stamp` stands still and the pass goes by (item, warehouse).
    SqlChanged {
        began: NaiveDateTime,
        stamp: NaiveDateTime,
        record: i64,
        warehouse: i64,
    },
    ListFull {
        began: Option<NaiveDateTime>,
        offset: u64,
    },
    ListChanged {
        began: NaiveDateTime,
        from: NaiveDate,
        offset: u64,
    },
}

/// Unit lines that are asked for with each item; nearly all cards have fewer.
const LINES_OF_AN_ITEM: u32 = 4;

/// Items that one text names by their numbers; some sites take SQL in an address, whose length is limited.
const ITEMS_OF_A_LIST: usize = 500;

/// Below every warehouse number, LOGO's own sum (−1) included.
const BEFORE_WAREHOUSES: i64 = -2;

pub async fn pull(client: &LogoClient, cx: &Ctx, request: &PullRequest<'_>) -> Result<Page, Fault> {
    let offered = Stream::parse(request.stream)
        .filter(|stream| Stream::offered(&client.settings).any(|offered| offered == *stream));
    let Some(stream) = offered else {
        return Err(Fault::contract(format!("this instance offers no stream `{}`", request.stream)));
    };
    let puller = Puller { client, cx, stream };
    let position = puller.position(request).await?;
    let (list, next) = puller.fitting_page(position).await?;
    let end = list.rows == 0;
    if end {
        client.set_page_rows(stream, None);
    }
    let next = if end { Position::Rest { since: position.began() } } else { next };
    let cursor = serde_json::to_value(next)
        .map(Cursor)
        .map_err(|error| Fault::contract(format!("the position could not be written: {error}")))?;
    Ok(Page { body: list.body, format: Format::Json, rows: list.rows, cursor, end, expected: list.total })
}

impl Position {
    const fn began(self) -> Option<NaiveDateTime> {
        match self {
            Position::Rest { since } => since,
            Position::SqlFull { began, .. } | Position::ListFull { began, .. } => began,
            Position::SqlChanged { began, .. } | Position::ListChanged { began, .. } => Some(began),
        }
    }
}

struct Puller<'a> {
    client: &'a LogoClient,
    cx: &'a Ctx,
    stream: Stream,
}

impl Puller<'_> {
    fn via(&self) -> Via {
        self.client.settings.via(self.stream)
    }

    /// Where this page begins: the middle of the pass under way, or the beginning of a new one.
    async fn position(&self, request: &PullRequest<'_>) -> Result<Position, Fault> {
        let given = request.cursor.and_then(|cursor| {
            serde_json::from_value::<Position>(cursor.0.clone())
                .inspect_err(|_| {
                    tracing::warn!(stream = request.stream, "the stored position is not readable; a full pass begins");
                })
                .ok()
        });
        // A position of the other way in means that the setting changed in mid-pass.
        let under_way = given.filter(|position| match position {
            Position::Rest { .. } => false,
            Position::SqlFull { .. } | Position::SqlChanged { .. } => self.via() == Via::Sql,
            Position::ListFull { .. } | Position::ListChanged { .. } => self.via() == Via::Rest,
        });
        let full = |position: &Position| matches!(position, Position::SqlFull { .. } | Position::ListFull { .. });
        match request.pass {
            Pass::Full => match under_way.filter(full) {
                Some(position) => Ok(position),
                None => self.begin_full().await,
            },
            Pass::Incremental => {
                if let Some(position) = under_way
                    && (!request.first || full(&position) && request.since.is_none())
                {
                    return Ok(position);
                }
                // Of an incremental pass that was given up everything up to its last page has been read.
                let known = match given {
                    Some(Position::SqlChanged { began, stamp, .. }) => Some(stamp.min(began)),
                    Some(Position::ListChanged { from, .. }) => Some(from.and_time(NaiveTime::MIN)),
                    Some(Position::Rest { since }) => since,
                    Some(Position::SqlFull { .. } | Position::ListFull { .. }) | None => None,
                };
                match request.since.map(local).or(known) {
                    Some(since) if self.stream.incremental(&self.client.settings) => self.begin_changed(since).await,
                    _ => self.begin_full().await,
                }
            }
        }
    }

    async fn begin_full(&self) -> Result<Position, Fault> {
        let began = if self.stream.incremental(&self.client.settings) { Some(self.server_time().await?) } else { None };
        Ok(match self.via() {
            Via::Sql => Position::SqlFull { began, record: 0, warehouse: BEFORE_WAREHOUSES },
            Via::Rest => Position::ListFull { began, offset: 0 },
        })
    }

    async fn begin_changed(&self, since: NaiveDateTime) -> Result<Position, Fault> {
        let began = self.server_time().await?;
        let overlap = TimeDelta::from_std(self.client.settings.overlap).unwrap_or(TimeDelta::MAX);
        let stamp = since.checked_sub_signed(overlap).filter(|stamp| stamp.year() >= 1900).unwrap_or(EPOCH);
        Ok(match self.via() {
            Via::Sql => Position::SqlChanged { began, stamp, record: 0, warehouse: BEFORE_WAREHOUSES },
            Via::Rest => Position::ListChanged { began, from: stamp.date(), offset: 0 },
        })
    }

    /// The clock that stamps are made by. Without SQL the server cannot be asked; its zone is Turkey's.
    async fn server_time(&self) -> Result<NaiveDateTime, Fault> {
        if self.via() == Via::Rest {
            return Ok(local(self.cx.now));
        }
        let list = self.client.query(&Query::ServerTime).await?;
        list.last.stamp.ok_or_else(|| Fault::transient("LOGO answered the query of its clock without a time"))
    }

    /// The page, with fewer rows when it is too large for one answer.
    async fn fitting_page(&self, position: Position) -> Result<(List, Position), Fault> {
        loop {
            let rows = self.client.page_rows(self.stream);
            match self.page(position, rows).await {
                Err(fault) if fault.is_too_large() && rows > 1 => {
                    tracing::warn!(stream = self.stream.name(), rows, %fault, "asking for half the rows");
                    self.client.set_page_rows(self.stream, Some(rows / 2));
                }
                Err(fault) if fault.is_too_large() => return Err(self.one_too_large(&fault)),
                outcome => return outcome,
            }
        }
    }

    fn one_too_large(&self, fault: &Fault) -> Fault {
        let (settings, stream) = (&self.client.settings, self.stream.name());
        let (page, most) = match self.via() {
            Via::Sql => ("sql_page", settings.sql_page),
            Via::Rest => ("page_limit", settings.page_limit),
        };
        Fault::too_large(format!(
            "{fault}; the page of {stream} was halved from `{page}` = {most} down to one row, and one record alone is \
             still too large: raise `max_answer_mib`, or find in LOGO what makes the next record of {stream} so large"
        ))
    }

    async fn page(&self, position: Position, rows: u32) -> Result<(List, Position), Fault> {
        match position {
            // Not a place in a pass; `position` never returns it.
            Position::Rest { .. } => Err(Fault::contract("no pass is under way")),
            Position::SqlFull { began, record, warehouse } => {
                let period = self.period().await?;
                let query = self.stream.full_query(&self.client.settings, period, record, warehouse, rows);
                let list = self.sql_page(&query, rows).await?;
                let (record, warehouse) = self.advance(&list, (record, warehouse), |last| self.place(last))?;
                Ok((list, Position::SqlFull { began, record, warehouse }))
            }
            Position::SqlChanged { began, stamp, record, warehouse } => {
                let period = self.period().await?;
                let query = self.stream.changed_query(&self.client.settings, period, stamp, record, warehouse, rows);
                let query = query.ok_or_else(|| Fault::contract("this stream knows no changes"))?;
                let list = self.sql_page(&query, rows).await?;
                let (stamp, (record, warehouse)) = if self.stream == Stream::Stock {
                    (stamp, self.advance(&list, (record, warehouse), |last| self.place(last))?)
                } else {
                    let read = |last: Key| last.stamp.zip(last.reference);
                    let (stamp, record) = self.advance(&list, (stamp, record), read)?;
                    (stamp, (record, warehouse))
                };
                Ok((list, Position::SqlChanged { began, stamp, record, warehouse }))
            }
            Position::ListFull { began, offset } => {
                let list = self.list_page(offset, None, rows).await?;
                let offset = offset + list.rows as u64;
                Ok((list, Position::ListFull { began, offset }))
            }
            Position::ListChanged { began, from, offset } => {
                let list = self.list_page(offset, Some(from), rows).await?;
                let offset = offset + list.rows as u64;
                Ok((list, Position::ListChanged { began, from, offset }))
            }
        }
    }

    /// The place of a row in the order of a full pass.
    fn place(&self, last: Key) -> Option<(i64, i64)> {
        if self.stream == Stream::Stock {
            last.item.zip(last.warehouse)
        } else {
            last.reference.map(|reference| (reference, BEFORE_WAREHOUSES))
        }
    }

    /// The key of the page's last row, which must lie after the one that was asked from.
    fn advance<K: PartialOrd>(&self, list: &List, from: K, read: impl Fn(Key) -> Option<K>) -> Result<K, Fault> {
        if list.rows == 0 {
            return Ok(from);
        }
        match read(list.last) {
            Some(to) if to > from => Ok(to),
            Some(_) => Err(Fault::contract(format!(
                "LOGO answered a page of {} that does not lead on: its last row is not after the one asked from",
                self.stream.name()
            ))),
            None => Err(without_place(self.stream)),
        }
    }

    async fn period(&self) -> Result<Option<u16>, Fault> {
        if !self.stream.is_of_a_period() {
            return Ok(None);
        }
        let period = self.client.period(local(self.cx.now).date(), false).await?;
        Ok(Some(period.number))
    }

    async fn sql_page(&self, query: &Query, rows: u32) -> Result<List, Fault> {
        let list = self.client.query(query).await?;
        match self.stream {
            Stream::UnitSets => self.with_unit_lines(list, rows).await,
            Stream::Items => self.with_item_units(list, query, rows).await,
            Stream::Orders => self.with_children(list, query, rows, "TRANSACTIONS", Query::OrderLines).await,
            Stream::Invoices => {
                let list = self.with_children(list, query, rows, "TRANSACTIONS", Query::InvoiceLines).await?;
                self.with_children(list, query, rows, "PAYMENT_LIST", Query::InvoicePayments).await
            }
            _ => Ok(list),
        }
    }

    /// Lines of documents stand in tables of their own, and are read to their end: no document is ever cut.
    async fn with_children(
        &self,
        documents: List,
        query: &Query,
        rows: u32,
        name: &str,
        of: fn(Children) -> Query,
    ) -> Result<List, Fault> {
        let settings = &self.client.settings;
        let unreadable = |problem| read::unreadable(problem, "the query of documents", settings);
        let (Query::Orders { period, .. }
        | Query::OrdersChanged { period, .. }
        | Query::Invoices { period, .. }
        | Query::InvoicesChanged { period, .. }) = query
        else {
            return Ok(documents);
        };
        let mut references = wire::references(&documents).map_err(unreadable)?;
        references.sort_unstable();
        let whole = matches!(query, Query::Orders { .. } | Query::Invoices { .. });
        let asked: Vec<WhichItems> = match (references.first(), references.last()) {
            (Some(first), Some(last)) if whole => vec![WhichItems::Range(*first, *last)],
            // By change stamp, the documents of a page are scattered over the whole table.
            _ => references.chunks(ITEMS_OF_A_LIST).map(|list| WhichItems::Only(list.to_vec())).collect(),
        };
        let (firm, period, limit) = (settings.firm, *period, rows.saturating_mul(LINES_OF_AN_ITEM));
        let mut children = Vec::new();
        for which in asked {
            let mut at = (0, 0);
            loop {
                let (document, line) = at;
                let query = of(Children { firm, period, documents: which.clone(), document, line, limit });
                let list = self.client.query(&query).await?;
                if list.rows == 0 {
                    break;
                }
                at = self.advance(&list, at, |last| last.document.zip(last.reference))?;
                children.push(list);
            }
        }
        wire::join_children(documents, &children, name).map_err(unreadable)
    }

    /// Units, barcodes and weights of cards stand in tables of their own; the cards of a page are asked for at once.
    async fn with_item_units(&self, items: List, query: &Query, rows: u32) -> Result<List, Fault> {
        let settings = &self.client.settings;
        let unreadable = |problem| read::unreadable(problem, "the query of the items", settings);
        let mut references = wire::references(&items).map_err(unreadable)?;
        let (Some(first), Some(last)) = (references.iter().min().copied(), references.iter().max().copied()) else {
            return Ok(items);
        };
        let mut lines = Vec::new();
        if matches!(query, Query::Items { .. }) {
            self.item_units(&mut lines, WhichItems::Range(first, last), last, rows).await?;
        } else {
            // By change stamp, cards of a page are scattered over the whole table.
            references.sort_unstable();
            for list in references.chunks(ITEMS_OF_A_LIST) {
                let last = list.last().copied().unwrap_or(last);
                self.item_units(&mut lines, WhichItems::Only(list.to_vec()), last, rows).await?;
            }
        }
        wire::join_item_units(items, &lines).map_err(unreadable)
    }

    /// Reads until the last line of the last item has come: mostly one answer, several where a site cuts them.
    async fn item_units(&self, lines: &mut Vec<List>, items: WhichItems, last: i64, rows: u32) -> Result<(), Fault> {
        let (firm, limit) = (self.client.settings.firm, rows.saturating_mul(LINES_OF_AN_ITEM));
        let mut at = (0, 0);
        loop {
            let (item, line) = at;
            let list = self.client.query(&Query::ItemUnits { firm, items: items.clone(), item, line, limit }).await?;
            if list.rows == 0 {
                return Ok(());
            }
            at = self.advance(&list, at, |last| last.item.zip(last.reference))?;
            let complete = at.0 == last && list.last.last_line == Some(at.1);
            lines.push(list);
            if complete {
                return Ok(());
            }
        }
    }

    /// Sets and lines are two tables. The lines are read to their end, so that no set is ever cut.
    async fn with_unit_lines(&self, sets: List, rows: u32) -> Result<List, Fault> {
        let settings = &self.client.settings;
        let unreadable = |problem| read::unreadable(problem, "the query of the unit sets", settings);
        let Some((first, last)) = wire::reference_range(&sets).map_err(unreadable)? else { return Ok(sets) };
        let mut lines = Vec::new();
        let mut at = (first, 0);
        loop {
            let (set, line) = at;
            let query = Query::UnitSetLines { firm: settings.firm, first, last, set, line, limit: rows };
            let list = self.client.query(&query).await?;
            if list.rows == 0 {
                return wire::join_unit_lines(sets, &lines).map_err(unreadable);
            }
            at = self.advance(&list, at, |last| last.set.zip(last.reference))?;
            lines.push(list);
        }
    }

    async fn list_page(&self, offset: u64, from: Option<NaiveDate>, rows: u32) -> Result<List, Fault> {
        let settings = &self.client.settings;
        let Some(Resource { path, expand }) = self.stream.resource() else {
            return Err(Fault::contract(format!("the REST service has no resource for {}", self.stream.name())));
        };
        let mut query = vec![("limit", rows.to_string())];
        if offset > 0 || settings.send_offset_zero {
            query.push(("offset", offset.to_string()));
        }
        // Counting costs LOGO time; once is enough for a progress bar.
        if offset == 0 && from.is_none() {
            query.push(("withCount", "true".to_owned()));
        }
        if !settings.sort.is_empty() {
            query.push(("sort", settings.sort.clone()));
        }
        if expand {
            query.push(("expandLevel", "full".to_owned()));
        }
        if let (Some(day), Some(filter)) = (from, &settings.rest_change_filter) {
            query.push(("q", filter.replace("{date}", &day.format(&settings.query_date_format).to_string())));
        }
        let list = self.client.records(path, query).await?;
        if self.stream == Stream::GroupCodes {
            return read::groups_of_items(list, settings);
        }
        Ok(list)
    }
}

pub(crate) fn without_place(stream: Stream) -> Fault {
    Fault::contract(format!(
        "LOGO answered a page of {} whose last row lacks the columns that pages go by",
        stream.name()
    ))
}

/// Before any stamp of LOGO's.
const EPOCH: NaiveDateTime = match NaiveDate::from_ymd_opt(1900, 1, 1) {
    Some(day) => day.and_time(NaiveTime::MIN),
    None => NaiveDateTime::MIN,
};

fn local(time: DateTime<Utc>) -> NaiveDateTime {
    time.with_timezone(&Istanbul).naive_local()
}

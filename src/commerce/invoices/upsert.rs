//! The upsert of invoices.

use std::collections::{HashMap, HashSet};

use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgConnection;

use super::{
    entry::{Entry, InvoiceKind, InvoiceLine, InvoiceStatus, InvoiceUpsert, prepare},
    queries::{self, Referred},
};
use crate::{
    commerce::{
        CommandError, Outcome, Violation, WriteContext,
        account::{self, EntryKind, PostError, Posting},
        check::violation,
        claims, orders,
        outcome::Outcomes,
    },
    outbox::{self, EventType, Events},
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    id: i64,
    customer_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<i64>,
    kind: &'static str,
    revision: i64,
}

/// Creates and changes invoices of the source `cx.by.origin`; see [`crate::commerce`] for what every upsert does.
pub async fn upsert_invoices(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[InvoiceUpsert<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    let mut outcomes = Outcomes::new(rows.len());
    let mut entries = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        match prepare(place, row) {
            Ok(entry) => entries.push(entry),
            Err(violation) => outcomes.refuse(place, violation),
        }
    }
    bind_lines(conn, cx, &mut entries).await?;
    let known_ids: Vec<i64> = entries.iter().filter(|entry| !entry.row.is_new).map(|entry| entry.row.id).collect();
    let references = References::lock(conn, cx, &entries, &known_ids).await?;
    let mut claimed = HashSet::new();
    let refused = entries.iter().enumerate().filter_map(|(index, entry)| {
        let unique = claimed.insert(entry.row.external_id);
        Some((index, references.refusal(entry, unique)?))
    });
    let refused = refused.collect();
    let entries = claims::drop_refused(entries, refused, |entry| entry.place, &mut outcomes);

    let (new, known): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.row.is_new);
    let mut written: Vec<&Entry<'_>> = new.clone();
    if !new.is_empty() {
        queries::insert(conn, cx, &new).await?;
        queries::insert_lines(conn, &new).await?;
        let mut events = Events::new(EventType::InvoiceCreated, new.len());
        for entry in new {
            outcomes.set(entry.place, Outcome::Created);
            let (id, row) = (entry.row.id, &entry.row);
            let kind = row.kind.as_str();
            events.push(id, 1, &Created { id, customer_id: row.customer, order_id: row.order, kind, revision: 1 })?;
        }
        outbox::append(conn, &cx.by, &events).await?;
    }
    if !known.is_empty() {
        let mut changed_lines = queries::changed_lines(conn, &known).await?;
        changed_lines.extend(queries::changed_payments(conn, &known).await?);
        let changed: HashMap<i64, bool> =
            queries::update(conn, cx, &known, &changed_lines).await?.into_iter().collect();
        let mut rewritten = Vec::new();
        for entry in known {
            let Some(changed) = changed.get(&entry.row.id) else { continue };
            outcomes.set(entry.place, if *changed { Outcome::Updated } else { Outcome::Unchanged });
            if *changed {
                written.push(entry);
                rewritten.extend(changed_lines.contains(&entry.row.id).then_some(entry));
            }
        }
        if !rewritten.is_empty() {
            let ids: Vec<i64> = rewritten.iter().map(|entry| entry.row.id).collect();
            queries::delete_lines(conn, &ids).await?;
            queries::insert_lines(conn, &rewritten).await?;
        }
    }
    if !written.is_empty() {
        let order_lines: Vec<i64> = references.order_lines.keys().copied().collect();
        let orders = queries::sum_up(conn, &order_lines).await?;
        orders::invoiced(conn, &cx.by, &orders).await?;
        post(conn, cx, &written).await?;
    }
    Ok(outcomes.finish())
}

/// Finds the lines of orders that the invoices' lines name by the source's reference, and the order that all of them are of.
/// The customers are locked first: whoever learns references locks them as well, so that one of the two sees the other's.
async fn bind_lines(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    entries: &mut [Entry<'_>],
) -> Result<(), CommandError> {
    let unbound = |line: &InvoiceLine<'_>| line.order_line.is_none();
    let named = entries.iter().flat_map(|entry| &entry.row.lines).filter(|line| unbound(line));
    let references: Vec<&str> = named.filter_map(|line| line.order_reference).collect();
    if references.is_empty() {
        return Ok(());
    }
    let customers: Vec<i64> = entries.iter().map(|entry| entry.row.customer).collect();
    let known: Vec<i64> = entries.iter().filter(|entry| !entry.row.is_new).map(|entry| entry.row.id).collect();
    queries::lock_customers(conn, &customers, &known).await?;
    let found = queries::referred(conn, cx.by.origin, &references).await?;
    let found: HashMap<&str, &Referred> = found.iter().map(|line| (line.external_id.as_str(), line)).collect();
    for row in entries.iter_mut().map(|entry| &mut entry.row) {
        let mut orders = HashSet::new();
        for line in row.lines.iter_mut().filter(|line| unbound(line)) {
            // An order that another customer pays for stays with who ordered.
            let meant = line.order_reference.and_then(|reference| found.get(reference));
            let Some(meant) = meant.filter(|meant| meant.customer_id == row.customer) else { continue };
            line.order_line = Some(meant.line_id);
            orders.insert(meant.order_id);
        }
        if row.order.is_none() && orders.len() == 1 {
            row.order = orders.into_iter().next();
        }
    }
    Ok(())
}

/// What invoices of orders owe, until the ERP's movements come.
async fn post(conn: &mut PgConnection, cx: &WriteContext<'_>, written: &[&Entry<'_>]) -> Result<(), CommandError> {
    let of_orders: Vec<&&Entry<'_>> = written.iter().filter(|entry| entry.is_of_an_order()).collect();
    let keys: Vec<String> = of_orders.iter().map(|entry| format!("invoice:{}", entry.row.id)).collect();
    let postings = of_orders.iter().zip(&keys).map(|(entry, key)| {
        let row = &entry.row;
        let (kind, debit, credit) = match row.kind {
            InvoiceKind::Sale => (EntryKind::Invoice, row.total, Decimal::ZERO),
            InvoiceKind::Return => (EntryKind::Return, Decimal::ZERO, row.total),
        };
        Posting {
            key,
            customer: row.customer,
            kind,
            currency: row.currency,
            debit,
            credit,
            booked_at: row.issued_on,
            due_date: row.due_date,
            document_number: Some(row.number),
            reference: None,
            description: None,
            order: row.order,
            is_cancelled: row.status == InvoiceStatus::Cancelled,
        }
    });
    let postings: Vec<Posting<'_>> = postings.collect();
    account::post(conn, cx, &postings).await.map_err(|error| match error {
        PostError::Command(error) => error,
        // Its figures passed as an invoice's, which has the same shapes.
        PostError::Refused(violation) => CommandError::Database(sqlx::Error::Protocol(violation.detail)),
    })
}

/// What a page refers to, as it is in the store; its customers and orders are locked.
struct References {
    customers: HashSet<i64>,
    /// Lines of orders, with the order's customer: carried ones and those that the invoices have until now.
    order_lines: HashMap<i64, i64>,
    orders: HashMap<i64, i64>,
    products: HashSet<i64>,
    held: HashSet<i64>,
}

impl References {
    async fn lock(
        conn: &mut PgConnection,
        cx: &WriteContext<'_>,
        entries: &[Entry<'_>],
        known: &[i64],
    ) -> Result<References, sqlx::Error> {
        let customers: Vec<i64> = entries.iter().map(|entry| entry.row.customer).collect();
        let orders: Vec<i64> = entries.iter().filter_map(|entry| entry.row.order).collect();
        let lines = || entries.iter().flat_map(|entry| &entry.row.lines);
        let order_lines: Vec<i64> = lines().filter_map(|line| line.order_line).collect();
        let products: Vec<i64> = lines().filter_map(|line| line.product).collect();
        let all: Vec<&Entry<'_>> = entries.iter().collect();
        Ok(References {
            customers: queries::lock_customers(conn, &customers, known).await?.into_iter().collect(),
            order_lines: queries::lock_order_lines(conn, &order_lines, known).await?.into_iter().collect(),
            orders: queries::orders(conn, &orders).await?.into_iter().collect(),
            products: queries::products(conn, &products).await?.into_iter().collect(),
            held: queries::holders(conn, cx.by.origin, &all).await?.into_iter().collect(),
        })
    }

    fn refusal(&self, entry: &Entry<'_>, unique: bool) -> Option<Violation> {
        let row = &entry.row;
        if !self.customers.contains(&row.customer) {
            return Some(violation("customer", "missing_reference", row.customer, "is not in the store"));
        }
        if !unique || self.held.contains(&row.id) {
            return Some(violation("externalId", "unique", row.external_id, "is another invoice of this source"));
        }
        if let Some(order) = row.order.filter(|order| self.orders.get(order) != Some(&row.customer)) {
            return Some(violation("order", "missing_reference", order, "is no order of this customer"));
        }
        let foreign = |line: &i64| self.order_lines.get(line) != Some(&row.customer);
        if let Some(line) = row.lines.iter().filter_map(|line| line.order_line).find(foreign) {
            return Some(violation("lines", "missing_reference", line, "name no line of an order of this customer"));
        }
        let product = row.lines.iter().filter_map(|line| line.product).find(|id| !self.products.contains(id))?;
        Some(violation("lines", "missing_reference", product, "name a product that is not in the store"))
    }
}

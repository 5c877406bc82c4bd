//! Orders, invoices and accounts by SQL: the rows of the connector's texts.

use serde_json::{Map, Value};

use super::{
    documents::{Document, number, page, text, whole},
    fields,
    json::Out,
    store::Store,
    totals,
};
use crate::sql::{After, Children, Since};

type Record = Map<String, Value>;

/// A page by reference, or by stamp and reference.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    since: Option<i64>,
    after: i64,
    limit: u32,
}

impl Part {
    pub const fn of(after: &After) -> Part {
        Part { since: None, after: after.reference, limit: after.limit }
    }

    pub fn changed(since: &Since) -> Part {
        Part { since: Some(super::stamp::of_naive(since.stamp)), after: since.reference, limit: since.limit }
    }
}

/// Each row through `push`.
pub fn orders(store: &Store, part: Part, mut push: impl FnMut(&dyn Fn(&mut Out))) {
    let mut rows: Vec<(i64, i64, &Record)> =
        store.orders.iter().map(|(reference, order)| (order.at, reference, &order.record)).collect();
    rows.retain(|(at, reference, record)| {
        let named = !text(record, "CUST_ORD_NO").is_empty() || !text(record, "DOC_NUMBER").is_empty();
        named && part.since.map_or(*reference > part.after, |since| (*at, *reference) > (since, part.after))
    });
    if part.since.is_some() {
        rows.sort_unstable_by_key(|(at, reference, _)| (*at, *reference));
    }
    for (at, reference, record) in rows.into_iter().take(part.limit as usize) {
        push(&|out| {
            begin(out, "INTERNAL_REFERENCE", reference);
            texts(out, record, &["NUMBER", "DOC_NUMBER", "CUST_ORD_NO", "AUXIL_CODE"]);
            ints(out, record, &["ORDER_STATUS", "CANCELLED"]);
            amount(out, "TOTAL_NET", record, 4);
            ints(out, record, &["CURR_TRANSACTIN"]);
            amount(out, "TC_RATE", record, 8);
            stamped(out, at);
        });
    }
}

pub fn order_lines(store: &Store, children: &Children, mut push: impl FnMut(&dyn Fn(&mut Out))) {
    let mut left = children.limit;
    for (reference, order) in store.orders.iter().filter(|(reference, _)| children.documents.contains(*reference)) {
        for (line, row) in lines_after(&order.record, "TRANSACTIONS", reference, children) {
            if left == 0 {
                return;
            }
            left -= 1;
            push(&|out| {
                begin(out, "DOCUMENTREF", reference);
                out.int_member("INTERNAL_REFERENCE", line);
                out.int_member("TYPE", totals::kind(row));
                texts(out, row, &["MASTER_CODE"]);
                ints(out, row, &["LINENO"]);
                amount(out, "QUANTITY", row, 4);
                amount(out, "QUANTITY_SHIPPED", row, 4);
                ints(out, row, &["ORDER_CLOSED"]);
                texts(out, row, &["UNIT_CODE"]);
                amount(out, "PRICE", row, 6);
                amount(out, "TOTAL", row, 4);
                amount(out, "VAT_BASE", row, 4);
                amount(out, "VAT_AMOUNT", row, 4);
                out.raw("}");
            });
        }
    }
}

pub fn invoices(store: &Store, part: Part, mut push: impl FnMut(&dyn Fn(&mut Out))) {
    for (reference, Document { record, at }) in page(&store.documents.invoices, part.since, part.after, part.limit) {
        push(&|out| {
            begin(out, "INTERNAL_REFERENCE", reference);
            ints(out, record, &["GRPCODE", "TYPE"]);
            texts(out, record, &["NUMBER", "DOC_NUMBER", "ARP_CODE", "DATE"]);
            for name in ["TOTAL_GROSS", "TOTAL_DISCOUNTS", "TOTAL_VAT", "TOTAL_NET"] {
                amount(out, name, record, 4);
            }
            ints(out, record, &["EINVOICE", "PROFILE_ID", "ESTATUS", "CANCELLED"]);
            texts(out, record, &["GUID", "NOTES1"]);
            stamped(out, *at);
        });
    }
}

/// The rows of a child collection of invoices: `TRANSACTIONS` or `PAYMENT_LIST`.
pub fn invoice_children(store: &Store, name: &str, children: &Children, mut push: impl FnMut(&dyn Fn(&mut Out))) {
    let mut left = children.limit;
    for (reference, invoice) in &store.documents.invoices {
        if !children.documents.contains(*reference) {
            continue;
        }
        for (line, row) in lines_after(&invoice.record, name, *reference, children) {
            if left == 0 {
                return;
            }
            left -= 1;
            push(&|out| {
                begin(out, "DOCUMENTREF", *reference);
                out.int_member("INTERNAL_REFERENCE", line);
                if name == "PAYMENT_LIST" {
                    texts(out, row, &["DATE"]);
                    amount(out, "TOTAL", row, 4);
                } else {
                    out.int_member("TYPE", totals::kind(row));
                    texts(out, row, &["MASTER_CODE", "TRANS_DESCRIPTION"]);
                    amount(out, "QUANTITY", row, 4);
                    amount(out, "PRICE", row, 6);
                    amount(out, "TOTAL", row, 4);
                    amount(out, "VAT_RATE", row, 2);
                    amount(out, "VAT_AMOUNT", row, 4);
                    amount(out, "VAT_BASE", row, 4);
                    texts(out, row, &["UNIT_CODE"]);
                    amount(out, "UNIT_CONV1", row, 4);
                    amount(out, "UNIT_CONV2", row, 4);
                    out.int_member("ORDER_REFERENCE", whole(row, "ORDER_REFERENCE"));
                }
                out.raw("}");
            });
        }
    }
}

pub fn ledger(store: &Store, period: u16, part: Part, mut push: impl FnMut(&dyn Fn(&mut Out))) {
    for (reference, Document { record, at }) in page(&store.documents.movements, part.since, part.after, part.limit) {
        push(&|out| {
            begin(out, "INTERNAL_REFERENCE", reference);
            out.key("PERIOD");
            out.text(&format!("{period:02}"));
            texts(out, record, &["ARP_CODE"]);
            ints(out, record, &["MODULENR", "TRCODE", "SIGN"]);
            amount(out, "AMOUNT", record, 4);
            texts(out, record, &["DATE"]);
            for name in ["DUE_DATE", "INVOICE_NUMBER", "CUST_ORD_NO"] {
                // What an outer join did not find.
                match text(record, name) {
                    "" => {
                        out.key(name);
                        out.raw("null");
                    }
                    found => {
                        out.key(name);
                        out.text(found);
                    }
                }
            }
            texts(out, record, &["TRANNO", "DOC_NUMBER", "DESCRIPTION"]);
            ints(out, record, &["CANCELLED"]);
            stamped(out, *at);
        });
    }
}

/// The lines of one document that the page has not given, ascending.
fn lines_after<'r>(record: &'r Record, name: &str, reference: i64, children: &Children) -> Vec<(i64, &'r Record)> {
    let mut rows: Vec<(i64, &Record)> = fields::lines(record, name)
        .map(|row| (whole(row, "INTERNAL_REFERENCE"), row))
        .filter(|(line, _)| (reference, *line) > (children.document, children.line))
        .collect();
    rows.sort_unstable_by_key(|(line, _)| *line);
    rows
}

fn begin(out: &mut Out, name: &str, reference: i64) {
    out.raw("{\"");
    out.raw(name);
    out.raw("\":");
    out.int(reference);
}

fn texts(out: &mut Out, record: &Record, names: &[&'static str]) {
    for name in names {
        out.key(name);
        out.text(text(record, name));
    }
}

fn ints(out: &mut Out, record: &Record, names: &[&'static str]) {
    for name in names {
        out.int_member(name, whole(record, name));
    }
}

fn amount(out: &mut Out, name: &'static str, record: &Record, scale: u32) {
    out.key(name);
    out.decimal(fields::scaled_decimal(number(record, name), scale).unwrap_or(0), scale as usize);
}

fn stamped(out: &mut Out, at: i64) {
    out.key("STAMP");
    out.stamp(at);
    out.raw("}");
}

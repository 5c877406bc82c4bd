//! Invoices: their products and orders are named by codes and numbers of the source's.

use std::collections::HashMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Resolved,
    fields::{Fields, ListRow},
    refused, unknown_word,
};
use crate::{
    canonical::Entity,
    commerce::{
        CommandError, Outcome, WriteContext,
        invoices::{
            InvoiceKind, InvoiceLine, InvoicePayment, InvoiceStatus, InvoiceUpsert, cancel_invoices, upsert_invoices,
        },
        orders::source,
    },
    hub::links,
    money,
};

pub(super) async fn upsert(
    db: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[Resolved<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    let known = Known::read(db, cx.by.origin, rows).await?;
    let mut outcomes: Vec<Option<Outcome>> = vec![None; rows.len()];
    let (mut places, mut invoices) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    let mut gone: Vec<(usize, i64)> = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        // A source that says nothing else of it has deleted it.
        if Fields::of(row).text("number").is_keep() {
            gone.push((place, row.id));
            continue;
        }
        match invoice(row, &known) {
            Ok(invoice) => {
                places.push(place);
                invoices.push(invoice);
            }
            Err(refused) => outcomes[place] = Some(refused),
        }
    }
    if !invoices.is_empty() {
        for (place, outcome) in places.into_iter().zip(upsert_invoices(db, cx, &invoices).await?) {
            outcomes[place] = Some(outcome);
        }
    }
    if !gone.is_empty() {
        let ids: Vec<i64> = gone.iter().map(|(_, id)| *id).collect();
        for ((place, _), outcome) in gone.into_iter().zip(cancel_invoices(db, cx, &ids).await?) {
            outcomes[place] = Some(outcome);
        }
    }
    Ok(outcomes.into_iter().flatten().collect())
}

/// What the names in a page stand for.
struct Known {
    products: HashMap<(Entity, String), i64>,
    /// By our number, and by our reference.
    orders: HashMap<String, i64>,
    /// By order and place.
    lines: HashMap<(i64, i64), i64>,
}

impl Known {
    async fn read(db: &mut PgConnection, connector: &str, rows: &[Resolved<'_>]) -> Result<Known, sqlx::Error> {
        let mut codes: Vec<&str> = Vec::new();
        let mut numbers: Vec<&str> = Vec::new();
        for row in rows {
            let fields = Fields::of(row);
            let products = fields.list("lines", |line| line.text("product")).value().unwrap_or_default();
            codes.extend(products.into_iter().flatten());
            numbers.extend(fields.text("orderNumber").value());
        }
        codes.sort_unstable();
        codes.dedup();
        let entities = vec![Entity::Product.as_str(); codes.len()];
        let products = links::resolve(db, connector, &entities, &codes).await?;
        let mut orders = HashMap::new();
        if !numbers.is_empty() {
            let linked = links::by_code(db, connector, Entity::Order, &numbers).await?;
            orders.extend(linked.into_iter().map(|(code, link)| (code, link.internal_id)));
            orders.extend(source::ids_by_number(db, &numbers).await?);
        }
        let named: Vec<i64> = orders.values().copied().collect();
        let lines = match named.is_empty() {
            true => HashMap::new(),
            false => {
                let lines = source::lines_by_place(db, &named).await?;
                lines.into_iter().map(|(order, place, line)| ((order, place), line)).collect()
            }
        };
        Ok(Known { products, orders, lines })
    }
}

fn invoice<'a>(row: &Resolved<'a>, known: &Known) -> Result<InvoiceUpsert<'a>, Outcome> {
    let fields = Fields::of(row);
    let text = |name: &str| fields.text(name).value();
    let amount = |name: &str| fields.decimal(name).value();
    let word = text("kind").unwrap_or_default();
    let kind = InvoiceKind::parse(word).ok_or_else(|| unknown_word("kind", word))?;
    let word = text("status").unwrap_or_default();
    let status = InvoiceStatus::parse(word).ok_or_else(|| unknown_word("status", word))?;
    let ettn = text("ettn").map(|ettn| {
        Uuid::try_parse(ettn).map_err(|_| refused("ettn", "format", ettn, "is no ETTN: 32 hexadecimal digits"))
    });
    let order = text("orderNumber").map(|number| {
        let order = known.orders.get(number).copied();
        order.ok_or_else(|| refused("orderNumber", "missing_reference", number, "names no order: Order not found"))
    });
    let order = order.transpose()?;
    let lines = fields.list("lines", |one| line(one, order, known)).value().unwrap_or_default();
    let lines = lines.into_iter().collect::<Result<Vec<_>, Outcome>>()?;
    let payments = fields.list("payments", |one| {
        Some(InvoicePayment { due_date: one.date("dueDate")?, amount: one.decimal("amount")? })
    });
    let payments: Vec<InvoicePayment> = payments.value().unwrap_or_default().into_iter().flatten().collect();
    let sum = |of: fn(&InvoiceLine<'_>) -> Decimal| lines.iter().map(of).sum::<Decimal>();
    let total = amount("total").unwrap_or(Decimal::ZERO);
    let subtotal = amount("subtotal").unwrap_or_else(|| sum(|line| line.amount));
    let tax = amount("tax").unwrap_or_else(|| sum(|line| line.vat));
    // Where a source does not tell what it took off: the rest.
    let discount = amount("discount").unwrap_or_else(|| (subtotal + tax - total).max(Decimal::ZERO));
    let last_due = payments.iter().map(|payment| payment.due_date).max();
    Ok(InvoiceUpsert {
        id: row.id,
        is_new: row.is_new,
        external_id: row.change.code.as_ref(),
        customer: fields.reference("customer").value().unwrap_or(0),
        order,
        number: text("number").unwrap_or_default(),
        ettn: ettn.transpose()?,
        kind,
        status,
        profile: text("profile"),
        // The schema requires it.
        issued_on: fields.date("issuedOn").value().unwrap_or(NaiveDate::MIN),
        due_date: fields.date("dueDate").value().or(last_due),
        currency: text("currency").unwrap_or_default(),
        exchange_rate: amount("exchangeRate"),
        subtotal,
        discount,
        tax,
        total,
        pdf_url: text("pdfUrl"),
        note: text("note"),
        lines,
        payments,
    })
}

fn line<'a>(row: ListRow<'a>, order: Option<i64>, known: &Known) -> Result<InvoiceLine<'a>, Outcome> {
    let figure = |name: &str| row.decimal(name).unwrap_or(Decimal::ZERO);
    let code = row.text("product");
    let product = code.and_then(|code| known.products.get(&(Entity::Product, code.to_owned())).copied());
    let order_line = match (row.int("orderPosition"), order) {
        (None, _) => None,
        (Some(place), Some(order)) => match known.lines.get(&(order, place)) {
            Some(line) => Some(*line),
            None => return Err(refused("lines", "missing_reference", &place.to_string(), "name no line of the order")),
        },
        (Some(place), None) => {
            return Err(refused(
                "orderNumber",
                "required",
                &place.to_string(),
                "is required where a line names a place",
            ));
        }
    };
    let amount = match row.decimal("amount") {
        Some(amount) => amount,
        None => figure("quantity").checked_mul(figure("unitPrice")).map_or(Decimal::ZERO, |sum| money::round(sum, 2)),
    };
    let discount =
        row.decimal("discount").or_else(|| row.decimal("vatBase").map(|base| (amount - base).max(Decimal::ZERO)));
    Ok(InvoiceLine {
        order_line,
        order_reference: row.text("orderLine"),
        product,
        code,
        description: row.text("description").unwrap_or_default(),
        quantity: figure("quantity"),
        unit: row.text("unit"),
        numerator: row.decimal("numerator").filter(|factor| !factor.is_zero()).unwrap_or(Decimal::ONE),
        denominator: row.decimal("denominator").filter(|factor| !factor.is_zero()).unwrap_or(Decimal::ONE),
        unit_price: figure("unitPrice"),
        amount,
        discount: discount.unwrap_or(Decimal::ZERO),
        vat_rate: figure("vatRate"),
        vat: figure("vat"),
    })
}

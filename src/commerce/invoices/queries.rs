//! Statements that write invoices.

use sqlx::PgConnection;

use super::entry::{Entry, InvoiceLine, InvoicePayment};
use crate::commerce::WriteContext;

fn column<'e, 'a, C>(entries: &'e [&Entry<'a>], of: impl Fn(&'e Entry<'a>) -> C) -> Vec<C> {
    entries.iter().map(|entry| of(entry)).collect()
}

/// Ids for that many new invoices, rising.
pub async fn allocate_ids(conn: &mut PgConnection, count: usize) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select nextval('commerce.invoice_id_seq') as "id!" from generate_series(1, $1::bigint)"#,
        count as i64,
    )
    .fetch_all(conn)
    .await
}

/// Which of these a source has brought already: place in the input, and id.
pub async fn ids_by_external_id(
    conn: &mut PgConnection,
    origin: &str,
    external_ids: &[&str],
) -> Result<Vec<(usize, i64)>, sqlx::Error> {
    let found = sqlx::query!(
        r#"select i.place as "place!", v.id
           from unnest($2::text[]) with ordinality as i (external_id, place)
           join commerce.invoice v on v.origin = $1 and v.external_id = i.external_id
           order by i.place"#,
        origin,
        external_ids as _,
    )
    .fetch_all(conn)
    .await?;
    Ok(found.into_iter().map(|row| (row.place as usize - 1, row.id)).collect())
}

/// Locks the customers of these invoices, as they are and as they are to be. Gives those that exist.
pub(super) async fn lock_customers(
    conn: &mut PgConnection,
    customers: &[i64],
    invoices: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from commerce.customer
         where id = any ($1) or id in (select customer_id from commerce.invoice where id = any ($2))
         order by id
         for no key update",
        customers,
        invoices,
    )
    .fetch_all(conn)
    .await
}

/// Locks the orders of these lines, and of the lines that these invoices are of until now. Gives each line and its
/// order's customer.
pub(super) async fn lock_order_lines(
    conn: &mut PgConnection,
    lines: &[i64],
    invoices: &[i64],
) -> Result<Vec<(i64, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        "with meant as (
             select id, order_id from commerce.sales_order_line
             where id = any ($1)
                or id in (select order_line_id from commerce.invoice_line where invoice_id = any ($2))
         ), locked as materialized (
             select o.id, o.customer_id from commerce.sales_order o
             where o.id in (select order_id from meant)
             order by o.id
             for no key update
         )
         select m.id, l.customer_id from meant m join locked l on l.id = m.order_id",
        lines,
        invoices,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.customer_id)).collect())
}

/// These orders and whose they are.
pub(super) async fn orders(conn: &mut PgConnection, ids: &[i64]) -> Result<Vec<(i64, i64)>, sqlx::Error> {
    let rows = sqlx::query!("select id, customer_id from commerce.sales_order where id = any ($1)", ids)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.customer_id)).collect())
}

/// Which of these products exist.
pub(super) async fn products(conn: &mut PgConnection, ids: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!("select id from commerce.product where id = any ($1)", ids).fetch_all(conn).await
}

/// Invoices of the same source that have the external id of one of these.
pub(super) async fn holders(
    conn: &mut PgConnection,
    origin: &str,
    entries: &[&Entry<'_>],
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select i.id as "id!"
           from unnest($2::bigint[], $3::text[]) as i (id, external_id)
           join commerce.invoice v on v.origin = $1 and v.external_id = i.external_id and v.id <> i.id"#,
        origin,
        &column(entries, |e| e.row.id),
        &column(entries, |e| e.row.external_id) as _,
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn insert(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    new: &[&Entry<'_>],
) -> Result<(), sqlx::Error> {
    sqlx::query_file!(
        "src/commerce/invoices/sql/insert.sql",
        cx.by.now,
        cx.by.origin,
        &column(new, |e| e.row.id),
        &column(new, |e| e.row.customer),
        &column(new, |e| e.row.order) as _,
        &column(new, |e| e.row.ettn) as _,
        &column(new, |e| e.row.issued_on),
        &column(new, |e| e.row.due_date) as _,
        &column(new, |e| e.row.subtotal),
        &column(new, |e| e.row.discount),
        &column(new, |e| e.row.tax),
        &column(new, |e| e.row.total),
        &column(new, |e| e.row.exchange_rate) as _,
        &column(new, |e| e.row.currency) as _,
        &column(new, |e| e.row.kind.as_str()) as _,
        &column(new, |e| e.row.status.as_str()) as _,
        &column(new, |e| e.row.profile) as _,
        &column(new, |e| e.row.number) as _,
        &column(new, |e| e.row.external_id) as _,
        &column(new, |e| e.row.pdf_url) as _,
        &column(new, |e| e.row.note) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Id of every invoice that was found, and whether it changed.
pub(super) async fn update(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    known: &[&Entry<'_>],
    changed_lines: &[i64],
) -> Result<Vec<(i64, bool)>, sqlx::Error> {
    let rows = sqlx::query_file!(
        "src/commerce/invoices/sql/update.sql",
        cx.by.now,
        cx.by.origin,
        &column(known, |e| e.row.id),
        &column(known, |e| e.row.customer),
        &column(known, |e| e.row.order) as _,
        &column(known, |e| e.row.ettn) as _,
        &column(known, |e| e.row.issued_on),
        &column(known, |e| e.row.due_date) as _,
        &column(known, |e| e.row.subtotal),
        &column(known, |e| e.row.discount),
        &column(known, |e| e.row.tax),
        &column(known, |e| e.row.total),
        &column(known, |e| e.row.exchange_rate) as _,
        &column(known, |e| e.row.currency) as _,
        &column(known, |e| e.row.kind.as_str()) as _,
        &column(known, |e| e.row.status.as_str()) as _,
        &column(known, |e| e.row.profile) as _,
        &column(known, |e| e.row.number) as _,
        &column(known, |e| e.row.external_id) as _,
        &column(known, |e| e.row.pdf_url) as _,
        &column(known, |e| e.row.note) as _,
        changed_lines,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.changed)).collect())
}

/// The lines of these invoices, a row each: invoice, position, line.
fn lines<'e, 'a>(entries: &'e [&Entry<'a>]) -> Vec<(i64, i16, &'e InvoiceLine<'a>)> {
    let of = |entry: &'e &Entry<'a>| entry.row.lines.iter().zip(1_i16..).map(|(line, at)| (entry.row.id, at, line));
    entries.iter().flat_map(of).collect()
}

/// The invoices whose lines differ from the carried ones.
pub(super) async fn changed_lines(conn: &mut PgConnection, known: &[&Entry<'_>]) -> Result<Vec<i64>, sqlx::Error> {
    let lines = lines(known);
    sqlx::query_file_scalar!(
        "src/commerce/invoices/sql/changed_lines.sql",
        &column(known, |e| e.row.id),
        &lines.iter().map(|(id, ..)| *id).collect::<Vec<_>>(),
        &lines.iter().map(|(_, at, _)| *at).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.order_line).collect::<Vec<_>>() as _,
        &lines.iter().map(|(.., line)| line.product).collect::<Vec<_>>() as _,
        &lines.iter().map(|(.., line)| line.quantity).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.numerator).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.denominator).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.unit_price).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.amount).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.discount).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.vat_rate).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.vat).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.unit).collect::<Vec<_>>() as _,
        &lines.iter().map(|(.., line)| line.code).collect::<Vec<_>>() as _,
        &lines.iter().map(|(.., line)| line.description).collect::<Vec<_>>() as _,
        &lines.iter().map(|(.., line)| line.order_reference).collect::<Vec<_>>() as _,
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn delete_lines(conn: &mut PgConnection, invoices: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from commerce.invoice_line where invoice_id = any ($1)", invoices).execute(&mut *conn).await?;
    sqlx::query!("delete from commerce.invoice_payment where invoice_id = any ($1)", invoices).execute(conn).await?;
    Ok(())
}

pub(super) async fn insert_lines(conn: &mut PgConnection, entries: &[&Entry<'_>]) -> Result<(), sqlx::Error> {
    let lines = lines(entries);
    sqlx::query_file!(
        "src/commerce/invoices/sql/insert_lines.sql",
        &lines.iter().map(|(id, ..)| *id).collect::<Vec<_>>(),
        &lines.iter().map(|(_, at, _)| *at).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.order_line).collect::<Vec<_>>() as _,
        &lines.iter().map(|(.., line)| line.product).collect::<Vec<_>>() as _,
        &lines.iter().map(|(.., line)| line.quantity).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.numerator).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.denominator).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.unit_price).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.amount).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.discount).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.vat_rate).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.vat).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.unit).collect::<Vec<_>>() as _,
        &lines.iter().map(|(.., line)| line.code).collect::<Vec<_>>() as _,
        &lines.iter().map(|(.., line)| line.description).collect::<Vec<_>>() as _,
        &lines.iter().map(|(.., line)| line.order_reference).collect::<Vec<_>>() as _,
    )
    .execute(&mut *conn)
    .await?;
    insert_payments(conn, entries).await
}

async fn insert_payments(conn: &mut PgConnection, entries: &[&Entry<'_>]) -> Result<(), sqlx::Error> {
    let payments = payments(entries);
    if payments.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into commerce.invoice_payment (invoice_id, position, due_date, amount)
         select * from unnest($1::bigint[], $2::smallint[], $3::date[], $4::numeric[])",
        &payments.iter().map(|(id, ..)| *id).collect::<Vec<_>>(),
        &payments.iter().map(|(_, at, _)| *at).collect::<Vec<_>>(),
        &payments.iter().map(|(.., payment)| payment.due_date).collect::<Vec<_>>(),
        &payments.iter().map(|(.., payment)| payment.amount).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The payments of these invoices, a row each: invoice, position, payment.
fn payments(entries: &[&Entry<'_>]) -> Vec<(i64, i16, InvoicePayment)> {
    let of = |entry: &&Entry<'_>| {
        let id = entry.row.id;
        entry.row.payments.iter().zip(1_i16..).map(move |(payment, at)| (id, at, *payment)).collect::<Vec<_>>()
    };
    entries.iter().flat_map(of).collect()
}

/// The invoices whose payments differ from the carried ones.
pub(super) async fn changed_payments(conn: &mut PgConnection, known: &[&Entry<'_>]) -> Result<Vec<i64>, sqlx::Error> {
    let payments = payments(known);
    sqlx::query_scalar!(
        r#"with carried as (
               select * from unnest($2::bigint[], $3::smallint[], $4::date[], $5::numeric[])
                   as c (invoice_id, position, due_date, amount)
           ), stored as (
               select * from commerce.invoice_payment where invoice_id = any ($1)
           )
           select distinct coalesce(c.invoice_id, s.invoice_id) as "id!"
           from carried c
           full join stored s on s.invoice_id = c.invoice_id and s.position = c.position
           where (c.position, c.due_date, c.amount) is distinct from (s.position, s.due_date, s.amount)"#,
        &column(known, |e| e.row.id),
        &payments.iter().map(|(id, ..)| *id).collect::<Vec<_>>(),
        &payments.iter().map(|(_, at, _)| *at).collect::<Vec<_>>(),
        &payments.iter().map(|(.., payment)| payment.due_date).collect::<Vec<_>>(),
        &payments.iter().map(|(.., payment)| payment.amount).collect::<Vec<_>>(),
    )
    .fetch_all(conn)
    .await
}

/// A line of an order as a source calls it.
pub(super) struct Referred {
    pub(super) external_id: String,
    pub(super) line_id: i64,
    pub(super) order_id: i64,
    pub(super) customer_id: i64,
}

/// The lines of orders that a source calls so.
pub(super) async fn referred(
    conn: &mut PgConnection,
    origin: &str,
    references: &[&str],
) -> Result<Vec<Referred>, sqlx::Error> {
    sqlx::query_as!(
        Referred,
        "select r.external_id, r.line_id, l.order_id, o.customer_id
         from commerce.order_line_reference r
         join commerce.sales_order_line l on l.id = r.line_id
         join commerce.sales_order o on o.id = l.order_id
         where r.origin = $1 and r.external_id = any ($2)",
        origin,
        references as _,
    )
    .fetch_all(conn)
    .await
}

/// Sums up what of these order lines is invoiced. Gives the orders in which something changed.
pub(super) async fn sum_up(conn: &mut PgConnection, order_lines: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    let mut orders =
        sqlx::query_file_scalar!("src/commerce/invoices/sql/invoiced.sql", order_lines).fetch_all(conn).await?;
    orders.sort_unstable();
    orders.dedup();
    Ok(orders)
}

//! Orders to LOGO: how many a second, when LOGO itself takes no time. Sandbox, hub and this program are processes of their own.
//!
//! - *sent*: from confirmed orders that wait to be routed to orders with LOGO's number: each handed over, mapped, posted, read back,
//!   compared, linked. LOGO takes one write at a time, as always; its own 20 ms for a write are switched off.
//!
//! `cargo bench --bench orders_to_logo -- --write-millis 20` gives it back its time.

#[path = "../support/cluster.rs"]
mod cluster;
#[path = "../pull/hub.rs"]
mod hub;

use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use sqlx::Connection as _;

use hub::Hub;

#[derive(Debug, Parser)]
struct Options {
    #[arg(long, default_value_t = 3_000)]
    orders: i64,
    /// What LOGO takes for a write.
    #[arg(long, default_value_t = 0)]
    write_millis: u64,
    #[arg(long)]
    json: bool,
    /// `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, serde::Serialize)]
struct Report {
    orders: i64,
    write_millis: u64,
    sent_per_second: f64,
    letters: i64,
}

/// Confirmed orders of two lines each, and the events of it, as a placement leaves them.
const PLACE: &str = "
    with buyers as (
        select internal_id as id, row_number() over (order by internal_id) - 1 as place, count(*) over () as n
        from hub.external_ref where connector = 'logo' and entity = 'customer'
    ), goods as (
        select p.id, p.code, p.name, coalesce(p.unit, 'ADET') as unit,
               row_number() over (order by p.id) - 1 as place, count(*) over () as n
        from commerce.product p join hub.external_ref r on r.entity = 'product' and r.internal_id = p.id
        where p.is_active
    ), placed as (
        insert into commerce.sales_order (
            customer_id, revision, created_at, updated_at, confirmed_at, subtotal, discount, shipping, tax, total, number,
            state, payment_method, currency, origin, placed_by, approval_reasons, billing_address)
        select b.id, 1, now(), now(), now(), 50, 0, 0, 10, 60,
               'ORD20261121' || lpad(nextval('commerce.sales_order_number_seq')::text, 4, '0'), 'confirmed', 'account', 'TRY',
               'bench', 'bench', '{}', '{}'
        from generate_series(1, $1) as k (k) join buyers b on b.place = k.k % b.n
        returning id
    ), lines as (
        insert into commerce.sales_order_line (
            order_id, product_id, position, vat_included, ordered, confirmed, numerator, denominator, unit_price,
            listed_price, amount, discount, vat_rate, vat_base, vat, kind, code, unit, name)
        select o.id, g.id, l.position, false, l.quantity, l.quantity, 1, 1, 10, 10, l.quantity * 10, 0, 20, l.quantity * 10,
               l.quantity * 2, 'product', g.code, g.unit, g.name
        from placed o
        cross join (values (1::smallint, 2), (2::smallint, 3)) as l (position, quantity)
        join goods g on g.place = (o.id + l.position) % g.n
    ), told as (
        insert into hub.outbox_event
            (id, type, aggregate, aggregate_id, revision, origin, bulk, payload, correlation_id, created_at)
        select hub.new_id(), 'order.confirmed', 'order', id, 1, 'bench', false, jsonb_build_object('id', id), 'bench',
               clock_timestamp()
        from placed
        returning id
    ), noted as (
        insert into hub.outbox_unrouted (event_id) select id from told returning 1
    )
    select count(*) from noted";

async fn measure(options: &Options) -> Result<Report, Box<dyn Error>> {
    let switches = serde_json::json!({ "logo": { "write_millis": options.write_millis } });
    let hub = Hub::start_with(500, "sql", Some(&switches)).await?;
    let outcome = work(options, &hub).await;
    hub.stop().await?;
    outcome
}

async fn work(options: &Options, hub: &Hub) -> Result<Report, Box<dyn Error>> {
    for stream in ["group_codes", "brands", "unit_sets", "customers", "items"] {
        hub.load(stream).await?;
    }
    let mut db = sqlx::PgConnection::connect(&hub.hub_url()).await?;
    let placed: i64 = sqlx::query_scalar(PLACE).bind(options.orders).fetch_one(&mut db).await?;
    let began = Instant::now();
    sqlx::query("select pg_notify('hub_outbox', '')").execute(&mut db).await?;
    let open = "select (select count(*) from hub.outbox_unrouted)
                    + (select count(*) from hub.delivery where state <> 'dead')";
    let until = Instant::now() + Duration::from_secs(600);
    while sqlx::query_scalar::<_, i64>(open).fetch_one(&mut db).await? > 0 {
        if Instant::now() > until {
            return Err("the orders did not go out in time".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let sent: i64 = sqlx::query_scalar("select count(*) from commerce.sales_order where external_number is not null")
        .fetch_one(&mut db)
        .await?;
    let letters: i64 = sqlx::query_scalar("select count(*) from hub.dead_letter").fetch_one(&mut db).await?;
    if sent != placed {
        let why: Option<String> =
            sqlx::query_scalar("select detail from hub.dead_letter limit 1").fetch_optional(&mut db).await?;
        return Err(format!("only {sent} of {placed} orders were sent: {why:?}").into());
    }
    Ok(Report {
        orders: sent,
        write_millis: options.write_millis,
        sent_per_second: (sent as f64 / seconds * 10.0).round() / 10.0,
        letters,
    })
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let options = Options::parse();
    match measure(&options).await {
        Ok(report) if options.json => {
            println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Ok(report) => {
            println!("LOGO's own time for a write      {:>10} ms", report.write_millis);
            println!("orders sent                      {:>10}", report.orders);
            println!("orders a second                  {:>10.1}", report.sent_per_second);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("orders to LOGO could not be measured: {error}");
            ExitCode::FAILURE
        }
    }
}

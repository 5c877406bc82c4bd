//! An XML exchange file of many items through a watched folder of a real `kopru serve`, beside the store's own limit: hub
//! and this program are separate processes on one private PostgreSQL with fsync on. `cargo bench --bench files`.
//!
//! Measured: from the file's arrival in the folder until it stands in done/, both passes included; the same file again,
//! of which nothing has changed; and the peak memory of `kopru serve`.

#[path = "../floor/catalogue.rs"]
#[allow(dead_code)]
mod catalogue;
#[path = "../support/cluster.rs"]
mod cluster;
mod hub;
#[path = "../floor/store.rs"]
#[allow(dead_code)]
mod store;

use std::{
    error::Error,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use chrono::{DateTime, Utc};
use clap::Parser;
use serde::Serialize;

use hub::Hub;
use store::{Page, Store, Work, apply};

#[derive(Debug, Parser)]
struct Options {
    /// Items of the file.
    #[arg(long, default_value_t = 100_000)]
    items: u64,
    #[arg(long)]
    json: bool,
    /// `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Default, Serialize)]
struct Figures {
    items: u64,
    file_bytes: u64,
    floor_first_load: u64,
    first_load: u64,
    /// Of the first load: seconds of the first pass, which applies nothing.
    check_seconds: f64,
    unchanged: u64,
    first_load_share: f64,
    peak_rss_kib: u64,
}

#[expect(clippy::disallowed_methods, reason = "a program of its own; the time only fills columns")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The best bare statements on one connection, on the hub's own server.
async fn floor(url: &str, rows: i64) -> Result<u64, Box<dyn Error>> {
    let mut store = Store::create(url).await?;
    store.reset().await?;
    let pages: Vec<Page> = catalogue::pages(rows, 1_000, 1)
        .into_iter()
        .map(|items| Page { body: catalogue::body(&items), items })
        .collect();
    let pages = Arc::new(pages);
    let mut conn = store.connect().await?;
    let started = Instant::now();
    for page in pages.iter() {
        apply(&mut conn, Work::Load { links: true, units: false }, page, now()).await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    drop(conn);
    store.drop().await?;
    Ok((rows as f64 / seconds) as u64)
}

/// The catalogue as LOGO's transfer tools write it, as ISO-8859-9 bytes. Answers its size.
fn write_file(path: &Path, items: u64) -> Result<u64, Box<dyn Error>> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(b"<?xml version=\"1.0\" encoding=\"ISO-8859-9\"?>\r\n<ITEMS>\r\n")?;
    for number in 0..i64::try_from(items)? {
        let item = catalogue::item(number, 1);
        let record = format!(
            "  <ITEM DBOP=\"INS\"><CARD_TYPE>1</CARD_TYPE><CODE>{}</CODE><NAME>{}</NAME><USEF_PURCHASING>1</USEF_PURCHASING>\
             <USEF_SALES>1</USEF_SALES><USEF_MM>1</USEF_MM><VAT>20</VAT><SELVAT>20</SELVAT><TRACK_TYPE>0</TRACK_TYPE>\
             <EAN_BARCODE>{}</EAN_BARCODE><UNITS><UNIT><UNIT_CODE>ADET</UNIT_CODE><CONV_FACT1>1</CONV_FACT1>\
             <CONV_FACT2>1</CONV_FACT2></UNIT></UNITS><DEFNFLDSLIST></DEFNFLDSLIST></ITEM>\r\n",
            item.code, item.name, item.barcode,
        );
        file.write_all(&kopru_sdk::encoding::encode_iso_8859_9(&record))?;
    }
    file.write_all(b"</ITEMS>\r\n")?;
    file.flush()?;
    Ok(file.get_ref().metadata()?.len())
}

async fn measure(options: &Options) -> Result<Figures, Box<dyn Error>> {
    let mut figures = Figures { items: options.items, ..Figures::default() };
    let hub = Hub::start().await?;
    figures.floor_first_load = floor(&hub.server_url(), i64::try_from(options.items)?).await?;
    figures.file_bytes = write_file(&hub.aside(), options.items)?;

    let first = hub.take(&hub.aside()).await?;
    if first.created != i64::try_from(options.items)? {
        return Err(format!("{} of {} items were created", first.created, options.items).into());
    }
    figures.first_load = first.rate();
    figures.check_seconds = first.check_seconds;
    hub.settle().await?;
    figures.unchanged = hub.take(&hub.kept()?).await?.rate();
    figures.peak_rss_kib = hub.peak_rss_kib()?;
    hub.stop()?;
    figures.first_load_share = figures.first_load as f64 / figures.floor_first_load as f64;
    Ok(figures)
}

fn shown(figures: &Figures) -> String {
    format!(
        "a file of {} items, {} MiB\n\
         store's own limit, first load (1 connection)   {:>9} rows/s\n\
         first load, both passes                        {:>9} rows/s   {:.0} % of the limit\n\
         of it the first pass                           {:>9.1} s\n\
         the same file again                            {:>9} rows/s\n\
         peak memory of kopru serve                     {:>9} KiB\n",
        figures.items,
        figures.file_bytes >> 20,
        figures.floor_first_load,
        figures.first_load,
        figures.first_load_share * 100.0,
        figures.check_seconds,
        figures.unchanged,
        figures.peak_rss_kib,
    )
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let options = Options::parse();
    match measure(&options).await {
        Ok(figures) if options.json => {
            println!("{}", serde_json::to_string_pretty(&figures).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Ok(figures) => {
            println!("{}", shown(&figures));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("the file could not be measured: {error}");
            ExitCode::FAILURE
        }
    }
}

//! Who asks: connections that each ask one thing after the other, in as few instructions as possible.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

type Failure = Box<dyn Error + Send + Sync>;

/// The path of a request: how many products there are, the number of a page or product, and whether the floor is asked.
pub type Ask = fn(&mut StdRng, i64, usize, bool) -> String;

pub fn code(number: i64) -> String {
    format!("P{number:07}")
}

pub fn page_path(_: &mut StdRng, _: i64, page: usize, bare: bool) -> String {
    let after = code(page as i64 * 20);
    if bare {
        return format!("/api/v1/products?after={after}");
    }
    let cursor = URL_SAFE_NO_PAD.encode(format!("[\"products:code\",[\"{after}\",0]]"));
    format!("/api/v1/products?sort=code&cursor={cursor}")
}

pub fn product_path(_: &mut StdRng, products: i64, page: usize, _: bool) -> String {
    format!("/api/v1/products/{}", page as i64 % products.max(1) + 1)
}

pub fn search_path(_: &mut StdRng, _: i64, page: usize, bare: bool) -> String {
    const WORDS: [&str; 6] = ["kamera", "isikli", "dome", "kablo 7", "p0001", "guven"];
    let word =
        if bare { WORDS[page % WORDS.len()].split(' ').next().unwrap_or("kamera") } else { WORDS[page % WORDS.len()] };
    format!("/api/v1/products?search={}", word.replace(' ', "%20"))
}

/// What somebody does who looks for something: mostly lists, then products, now and then a search or the tree.
pub fn browse_path(random: &mut StdRng, products: i64, page: usize, bare: bool) -> String {
    match random.random_range(0..20) {
        0..11 => page_path(random, products, page, bare),
        11..17 => product_path(random, products, page, bare),
        17..19 => search_path(random, products, page, bare),
        _ => "/api/v1/categories".to_owned(),
    }
}

pub struct Load {
    pub address: String,
    /// Of whoever asks; none: the floor knows nobody.
    pub tokens: Vec<String>,
    pub ask: Ask,
    pub pages: usize,
    pub products: i64,
    pub connections: usize,
    pub period: Duration,
    /// The longest that an answer is looked at before the next is asked for.
    pub think: Duration,
}

#[derive(Debug, Default, Serialize)]
pub struct Seen {
    pub per_second: u64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub errors: usize,
}

/// Numbers by Zipf's law with exponent 1: the sums of 1/rank, to be searched.
fn zipf(count: usize) -> Vec<f64> {
    let mut sum = 0.0;
    (1..=count)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect()
}

impl Load {
    pub async fn run(self) -> Result<Seen, Box<dyn Error>> {
        let load = Arc::new((zipf(self.pages), self));
        let started = Instant::now();
        let mut tasks = Vec::new();
        for number in 0..load.1.connections {
            let load = Arc::clone(&load);
            tasks.push(tokio::spawn(async move { connection(&load.0, &load.1, number as u64, started).await }));
        }
        let (mut taken, mut errors) = (Vec::new(), 0);
        for task in tasks {
            match task.await? {
                Ok((times, refused)) => {
                    taken.extend(times);
                    errors += refused;
                }
                Err(_) => errors += 1,
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        taken.sort_unstable();
        let at = |share: f64| {
            let place = ((taken.len() as f64 * share) as usize).min(taken.len().saturating_sub(1));
            taken.get(place).map_or(0.0, |micros| f64::from(*micros) / 1e3)
        };
        Ok(Seen {
            per_second: (taken.len() as f64 / seconds) as u64,
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            errors,
        })
    }
}

async fn connection(sums: &[f64], load: &Load, seed: u64, started: Instant) -> Result<(Vec<u32>, usize), Failure> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut stream = TcpStream::connect(&load.address).await?;
    stream.set_nodelay(true)?;
    let (mut taken, mut errors, mut buffer) = (Vec::new(), 0, Vec::with_capacity(64 * 1024));
    while started.elapsed() < load.period {
        let drawn = random.random_range(0.0..sums.last().copied().unwrap_or(1.0));
        let page = sums.partition_point(|sum| *sum < drawn);
        let path = (load.ask)(&mut random, load.products, page, load.tokens.is_empty());
        let token = match load.tokens.len() {
            0 => String::new(),
            count => format!("authorization: Bearer {}\r\n", load.tokens[random.random_range(0..count)]),
        };
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n{token}\r\n");
        let asked = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        let status = answer(&mut stream, &mut buffer).await?;
        taken.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
        errors += usize::from(status != 200);
        if !load.think.is_zero() {
            tokio::time::sleep(load.think.mul_f64(random.random_range(0.0..1.0))).await;
        }
    }
    Ok((taken, errors))
}

/// Reads one answer to its end and tells its status.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<u16, Failure> {
    buffer.clear();
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|part| part == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err("the connection ended".into());
        }
    };
    let text = std::str::from_utf8(&buffer[..head])?.to_ascii_lowercase();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.ok_or("no length")?.trim().parse()?;
    while buffer.len() < head + length {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the connection ended".into());
        }
    }
    Ok(status)
}

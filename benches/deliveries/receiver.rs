//! A receiver on this machine that answers 204 to everything and counts.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::Failure;

#[derive(Default)]
struct Seen {
    count: AtomicU64,
    last: Mutex<Option<Instant>>,
    arrived: Notify,
}

pub struct Receiver {
    address: SocketAddr,
    seen: Arc<Seen>,
}

impl Receiver {
    pub async fn start() -> Result<Receiver, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&shared);
                // A connection that ends is the caller's business.
                tokio::spawn(async move { drop(converse(stream, &seen).await) });
            }
        });
        Ok(Receiver { address, seen })
    }

    pub fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    pub fn count(&self) -> u64 {
        self.seen.count.load(Ordering::Acquire)
    }

    /// When the first byte of the next request came.
    pub async fn after(&self, before: u64) -> Result<Instant, Failure> {
        let until = Instant::now() + Duration::from_secs(30);
        while self.count() <= before {
            if Instant::now() > until {
                return Err("an event did not arrive within 30 s".into());
            }
            // Counted before it waits: a ring in between is found by the next look.
            let _ = tokio::time::timeout(Duration::from_millis(20), self.seen.arrived.notified()).await;
        }
        let last = *self.seen.last.lock().map_err(|_| "poisoned")?;
        last.ok_or_else(|| "nothing has arrived".into())
    }
}

async fn converse(mut stream: TcpStream, seen: &Seen) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let fresh = buffer.is_empty();
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        if fresh {
            let now = Instant::now();
            *seen.last.lock().map_err(|_| std::io::Error::other("poisoned"))? = Some(now);
        }
        while let Some(length) = whole(&buffer) {
            buffer.drain(..length);
            seen.count.fetch_add(1, Ordering::Release);
            seen.arrived.notify_waiters();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
        }
    }
}

/// The length of the request at the beginning, if all of it is there.
fn whole(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let total = head + length.unwrap_or(0);
    (buffer.len() >= total).then_some(total)
}

//! A receiver of webhooks on a real socket that does as it is told, byte by byte.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use kopru::{clock::Clock, hub::webhooks::signature::Key};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What it does with a request once it has read it.
#[derive(Debug, Clone)]
pub enum Answer {
    Status(u16),
    /// With further header lines and a body.
    With(u16, &'static str, &'static str),
    /// The connection ends without a word.
    Reset,
    /// Half an answer, then the end.
    Half,
    /// Nothing, for ever.
    Hang,
    /// More than anybody wants to read.
    Endless,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// As the libraries of receivers verify it.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = Key::parse(secret).expect("a secret");
        let (id, at) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        key.verify(id, at, self.header("webhook-signature"), &self.body, Clock::system().now())
    }
}

#[derive(Default)]
struct Script {
    next: Mutex<VecDeque<Answer>>,
    always: Mutex<Option<Answer>>,
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
}

pub struct WebhookReceiver {
    pub address: SocketAddr,
    script: Arc<Script>,
    server: JoinHandle<()>,
}

impl WebhookReceiver {
    pub async fn start() -> WebhookReceiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let script = Arc::new(Script::default());
        let server = tokio::spawn(serve(listener, Arc::clone(&script)));
        WebhookReceiver { address, script, server }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    /// Once, before anything else.
    pub fn then(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script.next.lock().expect("answers").extend(answers);
    }

    /// From now on, when nothing else is said.
    pub fn always(&self, answer: Answer) {
        *self.script.always.lock().expect("an answer") = Some(answer);
    }

    pub fn received(&self) -> Vec<Received> {
        self.script.received.lock().expect("requests").clone()
    }

    pub fn connections(&self) -> usize {
        self.script.connections.load(Ordering::SeqCst)
    }

    /// Revisions of what came, in order.
    pub fn revisions(&self) -> Vec<i64> {
        self.received().iter().map(|one| one.json()["object"]["revision"].as_i64().expect("a revision")).collect()
    }
}

impl Drop for WebhookReceiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, script: Arc<Script>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        script.connections.fetch_add(1, Ordering::SeqCst);
        let script = Arc::clone(&script);
        tokio::spawn(async move {
            // A connection that breaks off is the caller's business.
            let _ = converse(stream, &script).await;
        });
    }
}

async fn converse(stream: TcpStream, script: &Script) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        script.received.lock().expect("requests").push(request);
        let scripted = script.next.lock().expect("answers").pop_front();
        let always = script.always.lock().expect("an answer").clone();
        let answer = scripted.or(always).unwrap_or(Answer::Status(204));
        match answer {
            Answer::Status(status) => write(&mut stream, status, "", "").await?,
            Answer::With(status, headers, body) => write(&mut stream, status, headers, body).await?,
            Answer::Reset => return Ok(()),
            Answer::Half => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await?;
                return Ok(());
            }
            Answer::Hang => std::future::pending().await,
            Answer::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
                let chunk = [b"400\r\n", &[b'x'; 0x400][..], b"\r\n"].concat();
                loop {
                    stream.write_all(&chunk).await?;
                }
            }
        }
    }
    Ok(())
}

async fn write(stream: &mut BufReader<TcpStream>, status: u16, headers: &str, body: &str) -> std::io::Result<()> {
    let text = format!("HTTP/1.1 {status} As told\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Received>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut text = String::new();
        stream.read_line(&mut text).await?;
        let Some((name, value)) = text.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.parse());
    let mut body = vec![0; length.transpose().map_err(std::io::Error::other)?.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    Ok(Some(Received { line: line.trim_end().to_owned(), headers, body }))
}

//! SMTP as far as a client needs it: one session a connection, no TLS, any credentials.

use std::{future::pending, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

use super::{
    super::{
        faults::{Effect, Seen},
        server::Shared,
    },
    Mailbox, SYSTEM,
};

/// A mail larger than this is refused.
const LARGEST: usize = 10 * 1024 * 1024;

/// Takes connections until it is dropped.
pub(in super::super) async fn serve(listener: TcpListener, mailbox: Arc<Mailbox>, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (mailbox, shared) = (Arc::clone(&mailbox), Arc::clone(&shared));
                    // An error is a client that went away or a cut of our own making.
                    sessions.spawn(async move { drop(Session::new(stream, mailbox, shared).run().await) });
                }
                Err(error) => {
                    tracing::warn!(%error, "the sandbox could not accept a mail connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
}

struct Session {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    mailbox: Arc<Mailbox>,
    shared: Arc<Shared>,
    from: Option<String>,
    to: Vec<String>,
}

/// What a fault rule makes of a step.
enum Step {
    Go,
    /// Do it, then close without an answer.
    GoAndCut,
    /// It was answered in the server's place.
    Answered,
}

impl Session {
    fn new(stream: TcpStream, mailbox: Arc<Mailbox>, shared: Arc<Shared>) -> Session {
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        Session { reader: BufReader::new(reader), writer, mailbox, shared, from: None, to: Vec::new() }
    }

    async fn run(mut self) -> io::Result<()> {
        match self.step("CONNECT", "").await? {
            Step::Go => self.say("220 sandbox ESMTP").await?,
            Step::GoAndCut => return Ok(()),
            Step::Answered => {}
        }
        let mut line = String::new();
        loop {
            line.clear();
            if self.reader.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let text = line.trim_end();
            let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
            let verb = verb.to_ascii_uppercase();
            let address = match verb.as_str() {
                "MAIL" | "RCPT" => address(rest),
                _ => String::new(),
            };
            // A mail is judged when it is there.
            let step = if verb == "DATA" { Step::Go } else { self.step(&verb, &address).await? };
            if matches!(step, Step::Answered) {
                continue;
            }
            let going_on = self.obey(&verb, rest, address).await?;
            if matches!(step, Step::GoAndCut) || !going_on {
                return Ok(());
            }
        }
    }

    async fn obey(&mut self, verb: &str, rest: &str, address: String) -> io::Result<bool> {
        match verb {
            "EHLO" => self.say("250-sandbox\r\n250-8BITMIME\r\n250-SIZE 10485760\r\n250 AUTH PLAIN LOGIN").await?,
            "HELO" | "NOOP" => self.say("250 ok").await?,
            "RSET" => {
                self.forget();
                self.say("250 ok").await?;
            }
            "AUTH" => self.sign_in(rest).await?,
            "MAIL" => {
                self.forget();
                self.from = Some(address);
                self.say("250 2.1.0 ok").await?;
            }
            "RCPT" if self.from.is_none() => self.say("503 5.5.1 MAIL first").await?,
            "RCPT" => {
                self.to.push(address);
                self.say("250 2.1.5 ok").await?;
            }
            "DATA" if self.to.is_empty() => self.say("503 5.5.1 RCPT first").await?,
            "DATA" => return self.data().await,
            "QUIT" => {
                self.say("221 2.0.0 bye").await?;
                return Ok(false);
            }
            _ => self.say("502 5.5.2 not known here").await?,
        }
        Ok(true)
    }

    fn forget(&mut self) {
        self.from = None;
        self.to.clear();
    }

    async fn sign_in(&mut self, rest: &str) -> io::Result<()> {
        let mut line = String::new();
        let mut words = rest.split_whitespace();
        let login = words.next().is_some_and(|mechanism| mechanism.eq_ignore_ascii_case("LOGIN"));
        let prompts = match (login, words.next().is_some()) {
            (true, false) => 2,
            (true, true) | (false, false) => 1,
            (false, true) => 0,
        };
        for _ in 0..prompts {
            self.say("334 ").await?;
            line.clear();
            self.reader.read_line(&mut line).await?;
        }
        self.say("235 2.7.0 signed in").await
    }

    async fn data(&mut self) -> io::Result<bool> {
        self.say("354 go on").await?;
        let mut raw = Vec::new();
        let mut too_large = false;
        loop {
            let mut line = Vec::new();
            if self.reader.read_until(b'\n', &mut line).await? == 0 {
                return Ok(false);
            }
            if line == b".\r\n" || line == b".\n" {
                break;
            }
            too_large = too_large || raw.len() + line.len() > LARGEST;
            if !too_large {
                raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            }
        }
        let first = self.to.first().cloned().unwrap_or_default();
        let step = self.step("DATA", &first).await?;
        if matches!(step, Step::Answered) {
            self.forget();
            return Ok(true);
        }
        if too_large {
            self.say("552 5.3.4 too large").await?;
            self.forget();
            return Ok(true);
        }
        let from = self.from.take().unwrap_or_default();
        let taken = self.mailbox.take(&from, &self.to, &raw);
        self.forget();
        if matches!(step, Step::GoAndCut) {
            return Ok(false);
        }
        match taken {
            Ok(number) => self.say(&format!("250 2.0.0 ok: queued as {number}")).await?,
            Err(error) => self.say(&format!("451 4.3.0 {error}")).await?,
        }
        Ok(true)
    }

    /// Asks the fault rules. An error closes the connection.
    async fn step(&mut self, verb: &str, address: &str) -> io::Result<Step> {
        let seen = Seen { system: SYSTEM, method: verb, full_path: address, path: address };
        let verdict = self.shared.faults().judge(seen);
        tokio::time::sleep(verdict.latency).await;
        let cut = || Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        match verdict.effect {
            None | Some(Effect::Latency(_) | Effect::ExpireToken) => Ok(Step::Go),
            Some(Effect::Status { code, .. }) => {
                self.say(&format!("{code} by a fault rule")).await?;
                Ok(Step::Answered)
            }
            Some(Effect::CutAfter | Effect::LateCommit(_)) => Ok(Step::GoAndCut),
            Some(Effect::Hang) => pending().await,
            Some(Effect::Garbage(_) | Effect::Html | Effect::WrongCharset) => {
                self.say("<html>").await?;
                Ok(Step::Answered)
            }
            Some(Effect::CutBefore | Effect::Truncate) => cut(),
        }
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(format!("{text}\r\n").as_bytes()).await
    }
}

/// Of `FROM:<ayse@example.com> SIZE=100` the address.
fn address(rest: &str) -> String {
    let inside = rest.split_once('<').and_then(|(_, after)| after.split_once('>')).map(|(inside, _)| inside);
    inside.unwrap_or_else(|| rest.split_once(':').map_or("", |(_, after)| after.trim())).to_owned()
}

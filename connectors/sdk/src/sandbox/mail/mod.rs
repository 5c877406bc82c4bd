//! A mail server that delivers to nobody: it speaks SMTP on a socket of its own, keeps what it is given in its journal,
//! and shows it under `GET /_sandbox/mails?to=`.
//!
//! Fault rules know it as the system `mail`. The method is the SMTP verb (`CONNECT` when somebody connects; `DATA` when
//! the whole mail has been sent), the path is the address that a verb names: of the sender, of the recipient, for `DATA`
//! of the first recipient. `status` answers with that code, `hang` never answers, `cut_before` closes the connection with
//! nothing done, `cut_after` does it and closes without an answer. A rule for `CONNECT` with `cut_before` is a server that
//! is down.

mod content;
mod session;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::journal::Journal;

pub(super) use session::serve;

/// The name under which fault rules know it.
pub const SYSTEM: &str = "mail";

/// What a rule may name as its method.
pub(super) const VERBS: &[&str] = &["CONNECT", "EHLO", "HELO", "AUTH", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT"];

/// A mail as it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedMail {
    /// Counted from 1.
    pub number: u64,
    pub from: String,
    pub to: Vec<String>,
    pub message_id: Option<String>,
    pub subject: Option<String>,
    /// The decoded body of a mail of one part.
    pub text: String,
    /// As it came.
    pub raw: String,
}

/// What the server is started with.
#[derive(Debug)]
pub struct MailServer {
    pub listener: TcpListener,
    pub mailbox: Arc<Mailbox>,
}

/// Everything that was taken.
#[derive(Debug)]
pub struct Mailbox {
    mails: Mutex<Vec<ReceivedMail>>,
    journal: Journal,
}

impl Mailbox {
    /// With what was taken before; `None`: memory only.
    pub fn open(dir: Option<PathBuf>) -> io::Result<Mailbox> {
        let mut mails = Vec::new();
        let journal = match dir {
            Some(dir) => Journal::open(&dir, SYSTEM, |mail: ReceivedMail| mails.push(mail))?,
            None => Journal::in_memory(),
        };
        Ok(Mailbox { mails: Mutex::new(mails), journal })
    }

    /// Those to an address, or all of them.
    pub fn mails(&self, to: Option<&str>) -> Vec<ReceivedMail> {
        let wanted = |mail: &&ReceivedMail| to.is_none_or(|to| mail.to.iter().any(|one| one.eq_ignore_ascii_case(to)));
        self.lock().iter().filter(wanted).cloned().collect()
    }

    fn take(&self, from: &str, to: &[String], raw: &[u8]) -> io::Result<u64> {
        let mut mails = self.lock();
        let number = mails.len() as u64 + 1;
        let read = content::read(raw);
        let mail = ReceivedMail {
            number,
            from: from.to_owned(),
            to: to.to_vec(),
            message_id: read.message_id,
            subject: read.subject,
            text: read.text,
            raw: String::from_utf8_lossy(raw).into_owned(),
        };
        self.journal.append(&mail)?;
        mails.push(mail);
        Ok(number)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ReceivedMail>> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

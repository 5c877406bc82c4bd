//! The target of mails: an SMTP server.
//!
//! Invariants
//! - A mail goes out at least once, under the Message-ID that it had the first time.
//! - Its secret is opened for the mail itself; neither it nor the recipient's address is in a fault or a log.
//! - Only an answer that names the mail as the trouble is a letter. A server that cannot be reached holds all mails.

use std::{error::Error as _, time::Duration};

use kopru_sdk::{Cause, Ctx, Fault, Refusal, async_trait, settings::Secret};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        self,
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};

use super::{
    super::pages::Failure,
    target::{Document, Target, Tried},
};
use crate::{
    mail::{self, Stored},
    seal::Sealer,
};

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Plain at first, then TLS or nothing.
    StartTls,
    Tls,
    Plain,
}

#[derive(Debug, Clone)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub protection: Protection,
    /// Empty: no sign-in.
    pub user: String,
    pub password: Secret,
    /// `Köprü <no-reply@example.com>`
    pub from: String,
    /// Of one step of the conversation.
    pub timeout: Duration,
    /// Where the links in mails begin.
    pub public_url: String,
}

/// A server asks for patience with one mail (greylisting, a full mailbox): so long at least.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where mails go.
#[derive(Debug)]
pub struct Smtp(Option<Sender>);

#[derive(Debug)]
struct Sender {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    public_url: String,
    sealer: Sealer,
    timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum BadServer {
    #[error("`{0}` is no sender: write Name <address@example.com>")]
    From(String),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] smtp::Error),
}

impl Smtp {
    /// No server is configured: mails are held.
    pub const fn unconfigured() -> Smtp {
        Smtp(None)
    }

    pub fn new(server: Server, sealer: Sealer) -> Result<Smtp, BadServer> {
        let from = server.from.parse().map_err(|_| BadServer::From(server.from.clone()))?;
        let tls = match server.protection {
            Protection::StartTls => Tls::Required(TlsParameters::new(server.host.clone())?),
            Protection::Tls => Tls::Wrapper(TlsParameters::new(server.host.clone())?),
            Protection::Plain => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host)
            .port(server.port)
            .tls(tls)
            .timeout(Some(server.timeout));
        if !server.user.is_empty() {
            builder = builder.credentials(Credentials::new(server.user, server.password.expose().to_owned()));
        }
        Ok(Smtp(Some(Sender {
            transport: builder.build(),
            from,
            public_url: server.public_url,
            sealer,
            timeout: server.timeout,
        })))
    }
}

#[async_trait]
impl Target for Smtp {
    fn kind(&self) -> &'static str {
        "smtp"
    }

    fn timeout(&self) -> Duration {
        // A conversation has a handful of steps.
        self.0.as_ref().map_or(Duration::from_secs(60), |sender| sender.timeout * 4)
    }

    fn unready(&self) -> Option<Failure> {
        self.0.is_none().then(|| Failure {
            cause: Cause::Credential,
            reason: "mail_not_configured".to_owned(),
            field: None,
            value: None,
            detail: "no mail server is configured: set [mail] host".to_owned(),
        })
    }

    async fn check(&self, _cx: &Ctx) -> Result<(), Fault> {
        let Some(sender) = &self.0 else { return Ok(()) };
        match sender.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Fault::transient("the mail server does not answer as one")),
            Err(error) => Err(fault_of(&error, "")),
        }
    }

    async fn deliver(&self, cx: &Ctx, document: &Document) -> Tried {
        let not_asked = |fault| Tried::not_asked(Err(fault));
        let Some(sender) = &self.0 else { return not_asked(Fault::transient("no mail server is configured")) };
        let stored: Stored = match serde_json::from_value(document.payload.clone()) {
            Ok(stored) => stored,
            Err(error) => return not_asked(refusal("not_a_mail", None, error.to_string())),
        };
        let message_id = format!("<{}@{}>", document.id, sender.from.email.domain());
        let message = match sender.compose(cx, document, &stored, &message_id) {
            Ok(message) => message,
            Err(fault) => return not_asked(fault),
        };
        let asked = Some(format!("{} with Message-ID {message_id}", document.kind));
        match sender.transport.send(message).await {
            Ok(response) => {
                let lines: Vec<&str> = response.message().collect();
                let said = clean(&lines.join(" "), &stored.to);
                let answered = format!("{} {said}", response.code());
                Tried { outcome: Ok(Some(said)), asked, answered: Some(answered), effect: None }
            }
            Err(error) => {
                let fault = fault_of(&error, &stored.to);
                let answered = error.is_response().then(|| fault.to_string());
                let answered = answered.or_else(|| error.status().map(|_| fault.to_string()));
                Tried { outcome: Err(fault), asked, answered, effect: None }
            }
        }
    }
}

impl Sender {
    fn compose(&self, cx: &Ctx, document: &Document, stored: &Stored, id: &str) -> Result<Message, Fault> {
        let address: Address = stored
            .to
            .parse()
            .map_err(|_| refusal("address_invalid", Some("to"), "the recipient is no mail address".to_owned()))?;
        let token = stored
            .token(&self.sealer, document.id)
            .map_err(|error| refusal("link_unreadable", Some("token"), error.to_string()))?;
        let text = mail::text(stored, &self.public_url, &token);
        let name = Some(text.name).filter(|name| !name.is_empty());
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(name, address))
            .subject(text.subject)
            .date(cx.now.into())
            .message_id(Some(id.to_owned()))
            // No holiday note comes back.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(text.body)
            .map_err(|error| refusal("not_composed", None, error.to_string()))
    }
}

fn refusal(reason: &str, field: Option<&str>, detail: String) -> Fault {
    Fault::Permanent(Refusal { reason: reason.to_owned(), field: field.map(str::to_owned), value: None, detail })
}

fn fault_of(error: &smtp::Error, to: &str) -> Fault {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = inner.source();
    }
    let detail = format!("the mail server: {}", clean(&text, to));
    match error.status().map(u16::from) {
        Some(530 | 534 | 535 | 538) => Fault::Unauthenticated { detail },
        Some(421) => Fault::Transient { detail },
        Some(400..=499) => Fault::RateLimited { wait: Some(PATIENCE), detail },
        Some(code) => refusal(&format!("smtp_{code}"), Some("to"), detail),
        None if error.is_timeout() => Fault::UnknownOutcome { detail },
        None => Fault::Transient { detail },
    }
}

/// What a server says may name the recipient, and may be long.
fn clean(text: &str, to: &str) -> String {
    let hidden = if to.is_empty() { text.to_owned() } else { text.replace(to, "(recipient)") };
    hidden.chars().filter(|c| !c.is_control()).take(300).collect()
}

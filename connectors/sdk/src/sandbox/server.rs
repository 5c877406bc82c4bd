//! The listener: accepts connections, asks the fault rules about each request, hands it on to its system.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::pending,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode, Uri},
};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};
use tower::ServiceExt as _;

use super::{
    SandboxSystem, control, effect,
    faults::{BadFaults, Effect, Faults, Seen},
    hooks::Hooks,
    mail::{self, MailServer, Mailbox},
};

const FILE_POLL: Duration = Duration::from_millis(200);

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot read the faults file {path}: {source}")]
    FaultsFile { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    BadFaults { path: PathBuf, source: BadFaults },
    #[error("the listener has no address: {0}")]
    Listener(#[from] io::Error),
}

#[derive(Debug)]
pub struct Sandbox;

/// A sandbox that is serving. Dropping it stops it.
#[derive(Debug)]
pub struct RunningSandbox {
    pub addr: SocketAddr,
    /// Where mail is taken, when it is.
    pub mail_addr: Option<SocketAddr>,
    /// The server stops when this is dropped.
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl RunningSandbox {
    /// Where a system of this kind answers.
    pub fn base_url(&self, kind: &str) -> String {
        format!("http://{}/{kind}", self.addr)
    }

    /// Stops listening and closes every connection.
    pub async fn shutdown(self) {
        drop(self.stop);
        // An error means that it had already ended.
        let _ = self.server.await;
    }
}

pub(super) struct Mounted {
    pub kind: &'static str,
    pub system: Arc<dyn SandboxSystem>,
    pub requests: AtomicU64,
    router: Router,
}

/// What connections and the control surface share.
pub(super) struct Shared {
    pub systems: Vec<Mounted>,
    pub mailbox: Option<Arc<Mailbox>>,
    pub hooks: Hooks,
    faults: Mutex<Faults>,
    /// Why the faults file's last edition was not taken over.
    file_problem: Mutex<Option<String>>,
}

impl Shared {
    pub fn kinds(&self) -> Vec<&'static str> {
        let mail = self.mailbox.as_ref().map(|_| mail::SYSTEM);
        self.systems.iter().map(|mounted| mounted.kind).chain(mail).collect()
    }

    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn file_problem(&self) -> MutexGuard<'_, Option<String>> {
        self.file_problem.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sandbox {
    /// Serves `systems` on `listener`, each below `/<kind>`. Must be called inside a Tokio runtime.
    pub fn start(
        listener: TcpListener,
        systems: Vec<(&'static str, Arc<dyn SandboxSystem>)>,
        faults_file: Option<PathBuf>,
    ) -> Result<RunningSandbox, StartError> {
        Sandbox::start_with_mail(listener, systems, None, faults_file)
    }

    /// The same with a mail server beside the systems.
    pub fn start_with_mail(
        listener: TcpListener,
        systems: Vec<(&'static str, Arc<dyn SandboxSystem>)>,
        mail: Option<MailServer>,
        faults_file: Option<PathBuf>,
    ) -> Result<RunningSandbox, StartError> {
        let addr = listener.local_addr()?;
        let systems: Vec<Mounted> = systems
            .into_iter()
            .map(|(kind, system)| {
                let router = Arc::clone(&system).router();
                Mounted { kind, system, requests: AtomicU64::new(0), router }
            })
            .collect();
        let mail_addr = mail.as_ref().map(|mail| mail.listener.local_addr()).transpose()?;
        let mut kinds: Vec<&str> = systems.iter().map(|mounted| mounted.kind).collect();
        kinds.extend(mail.as_ref().map(|_| mail::SYSTEM));
        let faults = match &faults_file {
            Some(path) => read_faults(path, &kinds)?,
            None => Faults::default(),
        };
        let mailbox = mail.as_ref().map(|mail| Arc::clone(&mail.mailbox));
        let shared = Arc::new(Shared {
            systems,
            mailbox,
            hooks: Hooks::default(),
            faults: Mutex::new(faults),
            file_problem: Mutex::new(None),
        });
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(serve(listener, shared, mail, faults_file, stopped));
        Ok(RunningSandbox { addr, mail_addr, stop, server })
    }
}

async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    mail: Option<MailServer>,
    file: Option<PathBuf>,
    mut stopped: oneshot::Receiver<()>,
) {
    let control = control::router(Arc::clone(&shared));
    let mut tasks = JoinSet::new();
    if let Some(MailServer { listener, mailbox }) = mail {
        tasks.spawn(mail::serve(listener, mailbox, Arc::clone(&shared)));
    }
    if let Some(path) = file {
        tasks.spawn(watch_file(path, Arc::clone(&shared)));
    }
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(connection(stream, Arc::clone(&shared), control.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, mostly: others have to close first.
                    tracing::warn!(%error, "the sandbox could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    tasks.shutdown().await;
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, control: Router) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let (shared, control) = (Arc::clone(&shared), control.clone());
        async move { handle(request.map(Body::new), &shared, control).await }
    });
    // An error here is a client that went away or a cut of our own making.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The service's error: hyper closes the connection without a word.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut by a fault rule")]
struct Cut;

async fn handle(request: Request<Body>, shared: &Arc<Shared>, control: Router) -> Result<Response<Body>, Cut> {
    let full_path = request.uri().path();
    if full_path.starts_with("/_sandbox") {
        return Ok(call(control, request).await);
    }
    let (kind, path) = split_kind(full_path);
    let Some(mounted) = shared.systems.iter().find(|mounted| mounted.kind == kind) else {
        let text = format!("no such system; below / are {}, and /_sandbox\n", shared.kinds().join(", "));
        return Ok(effect::answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", Body::from(text)));
    };
    mounted.requests.fetch_add(1, Ordering::Relaxed);
    let verdict = shared.faults().judge(Seen { system: kind, method: request.method().as_str(), full_path, path });
    if verdict.expire_tokens {
        mounted.system.expire_tokens();
    }
    let router = mounted.router.clone();
    let request = below_prefix(buffered(request).await?, mounted.kind);
    let latency = verdict.latency;
    let Some(fault) = verdict.effect else { return Ok(work(router, request, latency).await) };
    match fault {
        Effect::CutAfter => {
            work(router, request, latency).await;
            Err(Cut)
        }
        Effect::LateCommit(after) => {
            drop(tokio::spawn(work(router, request, latency + after)));
            Err(Cut)
        }
        Effect::Truncate => Ok(effect::truncate(work(router, request, latency).await).await),
        Effect::WrongCharset => Ok(effect::wrong_charset(work(router, request, latency).await).await),
        Effect::Hang => pending().await,
        Effect::CutBefore => {
            tokio::time::sleep(latency).await;
            Err(Cut)
        }
        Effect::Status { code, retry_after, body } => {
            tokio::time::sleep(latency).await;
            Ok(effect::status(code, retry_after, body.as_ref()))
        }
        Effect::Garbage(length) => {
            tokio::time::sleep(latency).await;
            Ok(effect::garbage(length))
        }
        Effect::Html => {
            tokio::time::sleep(latency).await;
            Ok(effect::html())
        }
        Effect::Latency(_) | Effect::ExpireToken => Ok(work(router, request, latency).await),
    }
}

/// Runs in a task of its own: a caller that gives up while the system works does not stop it.
async fn work(router: Router, request: Request<Body>, latency: Duration) -> Response<Body> {
    let task = tokio::spawn(async move {
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        call(router, request).await
    });
    task.await.unwrap_or_else(|_| effect::status(500, None, None))
}

async fn call(router: Router, request: Request<Body>) -> Response<Body> {
    let answered: Result<_, Infallible> = router.oneshot(request).await;
    match answered {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The request with its body read; a client that broke off while sending is cut.
async fn buffered(request: Request<Body>) -> Result<Request<Body>, Cut> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// `/logo/api/v1` is `logo` and `/api/v1`.
fn split_kind(path: &str) -> (&str, &str) {
    let rest = path.strip_prefix('/').unwrap_or(path);
    match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    }
}

fn below_prefix(mut request: Request<Body>, kind: &str) -> Request<Body> {
    let uri = request.uri();
    let text = uri.path_and_query().map_or("/", |path| path.as_str());
    let below = text.get(kind.len() + 1..).unwrap_or("");
    let below = if below.starts_with('/') { below.to_owned() } else { format!("/{below}") };
    if let Ok(uri) = below.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request
}

fn read_faults(path: &Path, kinds: &[&str]) -> Result<Faults, StartError> {
    let text = std::fs::read(path).map_err(|source| StartError::FaultsFile { path: path.to_owned(), source })?;
    Faults::parse(&text, kinds).map_err(|source| StartError::BadFaults { path: path.to_owned(), source })
}

/// Takes over the rules whenever the file has changed; a file that is gone means none, one that cannot be read changes
/// nothing and is told once.
async fn watch_file(path: PathBuf, shared: Arc<Shared>) {
    let kinds = shared.kinds();
    let mut known = stamp(&path);
    loop {
        tokio::time::sleep(FILE_POLL).await;
        let current = stamp(&path);
        if current == known {
            continue;
        }
        known = current;
        let loaded = match current {
            None => Ok(Faults::default()),
            Some(_) => read_faults(&path, &kinds),
        };
        match loaded {
            Ok(faults) => {
                *shared.faults() = faults;
                *shared.file_problem() = None;
            }
            Err(error) => {
                tracing::warn!(%error, "the faults file is not taken over, the rules stay as they were");
                *shared.file_problem() = Some(error.to_string());
            }
        }
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

/// Requests by system, for `GET /_sandbox/health`.
pub(super) fn requests(shared: &Shared) -> BTreeMap<&'static str, u64> {
    shared.systems.iter().map(|mounted| (mounted.kind, mounted.requests.load(Ordering::Relaxed))).collect()
}

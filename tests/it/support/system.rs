//! A system that exists only in the test: its pages are given, its faults are scripted, its calls are written down.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use kopru_sdk::{
    Connector, Ctx, Cursor, Fault, Format, Page, Pass, PullRequest, Source, StreamSpec, TakesOff, async_trait,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// A call for a page, as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Pull {
    pub stream: String,
    pub pass: Pass,
    pub cursor: Option<Value>,
    pub first: bool,
}

/// Pages of a stream: what a complete pass reads, and what is read when only changes are asked for.
#[derive(Default)]
struct Pages {
    full: Vec<String>,
    changes: Vec<String>,
}

#[derive(Default)]
pub struct System {
    pages: Mutex<HashMap<String, Pages>>,
    faults: Mutex<VecDeque<Fault>>,
    down: AtomicBool,
    pulls: Mutex<Vec<Pull>>,
    pub checks: AtomicUsize,
    pub sign_outs: AtomicUsize,
    /// Pages from the one with this number on are given out only when somebody lets them go.
    gates: Mutex<HashMap<String, (usize, Arc<Semaphore>)>>,
    check_hangs: AtomicBool,
    /// What it says of stock has an order off as soon as it has the order.
    pub takes_off_at_once: AtomicBool,
    /// Or once it has reserved the order's goods.
    pub takes_off_reserved: AtomicBool,
}

/// The pages of a stream as records.
pub fn page(records: impl IntoIterator<Item = Value>) -> String {
    json!({ "items": records.into_iter().collect::<Vec<_>>() }).to_string()
}

impl System {
    pub fn full(&self, stream: &str, pages: impl IntoIterator<Item = String>) {
        let mut all = self.pages.lock().expect("pages");
        all.entry(stream.to_owned()).or_default().full = pages.into_iter().collect();
    }

    pub fn changes(&self, stream: &str, pages: impl IntoIterator<Item = String>) {
        let mut all = self.pages.lock().expect("pages");
        all.entry(stream.to_owned()).or_default().changes = pages.into_iter().collect();
    }

    /// The next calls fail so, one after another.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().expect("faults").extend(faults);
    }

    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::SeqCst)
    }

    /// `check` never answers from now on.
    pub fn hang_checks(&self) {
        self.check_hangs.store(true, Ordering::SeqCst);
    }

    pub fn pulls(&self) -> Vec<Pull> {
        self.pulls.lock().expect("pulls").clone()
    }

    /// Holds pages back from number `from` on; each permit added to the answer lets one go.
    pub fn gate(&self, stream: &str, from: usize) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.gates.lock().expect("gates").insert(stream.to_owned(), (from, Arc::clone(&gate)));
        gate
    }

    pub fn open_gates(&self) {
        for (_, gate) in self.gates.lock().expect("gates").drain().map(|(_, gate)| gate) {
            gate.add_permits(Semaphore::MAX_PERMITS / 2);
        }
    }

    fn scripted(&self) -> Result<(), Fault> {
        if let Some(fault) = self.faults.lock().expect("faults").pop_front() {
            return Err(fault);
        }
        if self.is_down() { Err(Fault::transient("connection refused")) } else { Ok(()) }
    }
}

/// The connector of a [`System`]. Its cursor is `{"page": n}` within a pass and `{"mark": n}` behind it.
pub struct TestConnector {
    pub system: Arc<System>,
    pub streams: Vec<StreamSpec>,
}

#[async_trait]
impl Connector for TestConnector {
    async fn check(&self, _cx: &Ctx) -> Result<(), Fault> {
        self.system.checks.fetch_add(1, Ordering::SeqCst);
        if self.system.check_hangs.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        if self.system.is_down() { Err(Fault::transient("connection refused")) } else { Ok(()) }
    }

    fn source(&self) -> Option<&dyn Source> {
        Some(self)
    }

    fn takes_off(&self) -> TakesOff {
        let is_set = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        match (is_set(&self.system.takes_off_at_once), is_set(&self.system.takes_off_reserved)) {
            (true, _) => TakesOff::OnTaking,
            (false, true) => TakesOff::OnReserving,
            (false, false) => TakesOff::OnShipping,
        }
    }

    async fn close(&self, _cx: &Ctx) {
        self.system.sign_outs.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Source for TestConnector {
    fn streams(&self) -> Vec<StreamSpec> {
        self.streams.clone()
    }

    async fn pull(&self, _cx: &Ctx, request: PullRequest<'_>) -> Result<Page, Fault> {
        let cursor = request.cursor.map(|cursor| cursor.0.clone());
        self.system.pulls.lock().expect("pulls").push(Pull {
            stream: request.stream.to_owned(),
            pass: request.pass,
            cursor: cursor.clone(),
            first: request.first,
        });
        let number = |key: &str| cursor.as_ref().and_then(|at| at[key].as_u64());
        if request.pass == Pass::Full && number("mark").is_some() {
            return Err(Fault::contract("a complete pass was asked to go on from an incremental position"));
        }
        let at = usize::try_from(number("page").unwrap_or(0)).expect("a page number");
        let gate = self.system.gates.lock().expect("gates").get(request.stream).cloned();
        if let Some((_, gate)) = gate.filter(|(from, _)| at >= *from) {
            gate.acquire().await.expect("an open gate").forget();
        }
        self.system.scripted()?;
        let pages = self.system.pages.lock().expect("pages");
        let none = Pages::default();
        let pages = pages.get(request.stream).unwrap_or(&none);
        let pages = if request.pass == Pass::Full { &pages.full } else { &pages.changes };
        let end = at + 1 >= pages.len();
        let body = pages.get(at).cloned().unwrap_or_else(|| page([]));
        Ok(Page {
            rows: 0,
            body: body.into_bytes().into(),
            format: Format::Json,
            cursor: Cursor(if end { json!({ "mark": at }) } else { json!({ "page": at + 1 }) }),
            end,
            expected: Some(pages.len() as u64),
        })
    }
}

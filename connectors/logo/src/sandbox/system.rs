//! The service: which call goes where, who may call, and one write at a time.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
};
use kopru_sdk::{
    BadSettings,
    sandbox::{ControlError, Journal, SandboxClock, SandboxOptions, SandboxSystem},
    settings::BadSetting,
};
use serde_json::{Map, Value, json};

use super::{
    answer::{self, Answer},
    json::Out,
    lists::{Resource, Wanted},
    queries,
    records::{MEDIA, View},
    stamp,
    store::{Entry, Store},
    switches::Switches,
    token::{self, Sessions, form},
    world::World,
    writes::{NotWritten, Written},
};
use crate::sql;

/// The address that the service believes to have, in a network that its callers are not in.
const INNER_HOST: &str = "http://logo-app01.sirket.yerel:32001";
/// Bodies above it are answered 413, as the service does with embedded images.
const BODY_LIMIT: usize = 16 << 20;

/// The simulated LOGO.
pub struct LogoSandbox {
    seed: u64,
    switches: Switches,
    clock: SandboxClock,
    store: RwLock<Store>,
    sessions: Mutex<Sessions>,
    journal: Journal,
    /// Held by the one write that is under way.
    writing: tokio::sync::Mutex<()>,
}

impl LogoSandbox {
    /// Rereads what was written before. Unknown switches and a journal that cannot be read are refused.
    pub fn build(options: &SandboxOptions) -> Result<LogoSandbox, BadSettings> {
        let switches = Switches::read(options)?;
        let mut store = Store::new(World::new(options.seed, options.items));
        let clock = SandboxClock::default();
        super::history::fill(&mut store, switches.documents, &switches, stamp::local(clock.now()))
            .map_err(|problem| BadSettings(vec![BadSetting { key: "documents".to_owned(), problem }]))?;
        let journal = match &options.dir {
            None => Journal::in_memory(),
            Some(dir) => {
                let name = format!("logo-{}-{}", options.seed, options.items);
                let replay = |entries: Vec<Entry>| entries.into_iter().for_each(|entry| store.apply(entry));
                Journal::open(dir, &name, replay).map_err(|error| {
                    BadSettings(vec![BadSetting { key: "dir".to_owned(), problem: error.to_string() }])
                })?
            }
        };
        Ok(LogoSandbox {
            seed: options.seed,
            switches,
            clock,
            store: RwLock::new(store),
            sessions: Mutex::default(),
            journal,
            writing: tokio::sync::Mutex::new(()),
        })
    }

    fn now(&self) -> i64 {
        stamp::local(self.clock.now())
    }

    fn store(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Journal first: what is answered as written is kept.
    fn commit(&self, entries: Vec<Entry>) -> io::Result<()> {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        self.journal.append(&entries)?;
        entries.into_iter().for_each(|entry| store.apply(entry));
        Ok(())
    }

    async fn handle(&self, method: Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Answer {
        let path = uri.path().trim_end_matches('/');
        let Some(rest) = path.get(..7).filter(|start| start.eq_ignore_ascii_case("/api/v1")).map(|_| &path[7..]) else {
            return answer::message(StatusCode::NOT_FOUND, "No HTTP resource was found that matches the request URI.");
        };
        let segments: Vec<&str> = rest.split('/').filter(|segment| !segment.is_empty()).collect();
        let first = segments.first().map(|first| first.to_ascii_lowercase()).unwrap_or_default();
        if first == "token" {
            return match method {
                Method::POST => {
                    let now = self.clock.now();
                    token::sign_in(&self.switches, &mut self.sessions(), self.seed, now, headers, body)
                }
                _ => not_allowed(),
            };
        }
        if first == "ping" {
            return answer::ok(&json!("pong"));
        }
        let session = self.sessions().bearer(headers, self.clock.now());
        let Some(session) = session else { return answer::unauthorized() };
        let params = form(uri.query().unwrap_or_default().as_bytes());
        match (first.as_str(), &segments[1.min(segments.len())..]) {
            ("revoke", _) => {
                self.sessions().close(&session);
                answer::ok(&json!(true))
            }
            ("istokenvalid", _) => answer::ok(&json!(true)),
            ("methods", rest) => self.method(rest),
            ("queries", rest) => self.query(&method, rest, &params, body).await,
            (name, rest) => match Resource::parse(name) {
                Some(resource) => self.resource(method, resource, rest, &params, headers, body).await,
                None => {
                    answer::message(StatusCode::NOT_FOUND, "No HTTP resource was found that matches the request URI.")
                }
            },
        }
    }

    fn method(&self, path: &[&str]) -> Answer {
        let name = path.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
        let (firm, period) = (self.switches.firm, self.switches.period);
        match (name.as_str(), &path[1.min(path.len())..]) {
            ("currentfirm", _) => answer::ok(&json!(firm)),
            ("currentperiod" | "activeperiod", _) => answer::ok(&json!(period)),
            ("versions", _) => answer::ok(&json!({"ApiVersion": "1.0", "ReleaseVersion": "2.82.00.00"})),
            ("companylogin" | "companylogout", _) => answer::ok(&json!([{"Name": "ReturnValue", "Value": true}])),
            ("checklogodb", _) => answer::ok(&json!(true)),
            ("gettablename", [table, ..]) => {
                let name = match *table {
                    "14" => format!("LG_{firm:03}_{period:02}_INVOICE"),
                    other => format!("LG_{firm:03}_{other}"),
                };
                answer::ok(&json!(name))
            }
            _ => answer::message(StatusCode::NOT_FOUND, "No HTTP resource was found that matches the request URI."),
        }
    }

    /// `GET queries?tsql=` and `POST queries/unsafe`.
    async fn query(&self, method: &Method, path: &[&str], params: &[(String, String)], body: &[u8]) -> Answer {
        let param = |name: &str| params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        if !self.switches.sql_allowed {
            return answer::message(StatusCode::FORBIDDEN, "SQL sorgusu çalıştırma yetkisi kapalı.");
        }
        let text = match (method.as_str(), path) {
            ("GET", _) => match param("tsql") {
                Some(text) => text.to_owned(),
                None => return answer::message(StatusCode::BAD_REQUEST, "tsql parametresi eksik."),
            },
            ("POST", [name]) if name.eq_ignore_ascii_case("unsafe") => match serde_json::from_slice::<String>(body) {
                Ok(text) => text,
                Err(_) => return answer::message(StatusCode::BAD_REQUEST, "The request is invalid."),
            },
            _ => return not_allowed(),
        };
        let limit = Duration::from_secs(param("cmdTimeout").and_then(|seconds| seconds.parse().ok()).unwrap_or(30));
        let takes = Duration::from_millis(self.switches.query_millis);
        if !takes.is_zero() {
            tokio::time::sleep(takes.min(limit)).await;
        }
        if takes > limit {
            return answer::sql_error("Sorgu zaman aşımı süresi doldu. (timeout)");
        }
        let Some(query) = sql::recognise(&text) else {
            return answer::sql_error("Sorgu metni bu benzetimde tanınmıyor.");
        };
        let rows = queries::run(&self.store(), &self.switches, &query, self.now());
        match rows {
            Err(error) => answer::sql_error(&error),
            Ok((rows, count)) => {
                let mut out = Out::with_capacity(rows.len() + 256);
                out.raw("{\"Meta\":{\"href\":\"");
                out.raw(INNER_HOST);
                out.raw("/api/v1/queries/unsafe");
                out.raw(MEDIA);
                out.int_member("count", count as i64);
                out.raw(",\"items\":");
                out.raw_bytes(&rows);
                out.raw("}");
                answer::json_bytes(StatusCode::OK, out.into_bytes())
            }
        }
    }

    async fn resource(
        &self,
        method: Method,
        resource: Resource,
        path: &[&str],
        params: &[(String, String)],
        headers: &HeaderMap,
        body: &[u8],
    ) -> Answer {
        let reference = match path {
            [] => None,
            [text] => match text.parse::<i64>() {
                Ok(reference) => Some(reference),
                Err(_) => return answer::message(StatusCode::BAD_REQUEST, "The request is invalid."),
            },
            _ => {
                return answer::message(
                    StatusCode::NOT_FOUND,
                    "No HTTP resource was found that matches the request URI.",
                );
            }
        };
        let base = self.base(headers);
        match (method, reference) {
            (Method::GET, None) => match Wanted::read(params, &self.switches) {
                Ok(wanted) => answer::json_bytes(StatusCode::OK, self.store().page(resource, &wanted, &base)),
                Err(error) => answer::message(StatusCode::BAD_REQUEST, &error),
            },
            (Method::GET, Some(reference)) => {
                let full = params
                    .iter()
                    .any(|(key, value)| key.eq_ignore_ascii_case("expandLevel") && value.eq_ignore_ascii_case("full"));
                match self.store().record(resource, reference, View { base: &base, full }) {
                    Some(record) => answer::json_bytes(StatusCode::OK, record),
                    None => self.missing(),
                }
            }
            (Method::POST, None) => {
                self.write(body, |store, body, now| store.create(resource, body, &self.switches, now)).await
            }
            (Method::PUT, Some(at)) => {
                self.write(body, |store, body, now| store.replace(resource, at, body, &self.switches, now)).await
            }
            (Method::PATCH, Some(at)) => {
                self.write(body, |store, body, now| store.patch(resource, at, body, &self.switches, now)).await
            }
            (Method::DELETE, Some(at)) => self.write(b"{}", |store, _, now| store.delete(resource, at, now)).await,
            _ => not_allowed(),
        }
    }

    /// One write at a time for the firm: a second one waits here.
    async fn write(
        &self,
        body: &[u8],
        plan: impl FnOnce(&Store, &Map<String, Value>, i64) -> Result<Written, NotWritten>,
    ) -> Answer {
        let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(body) else {
            return answer::message(StatusCode::BAD_REQUEST, "The request is invalid.");
        };
        let _one = self.writing.lock().await;
        if self.switches.write_millis > 0 {
            tokio::time::sleep(Duration::from_millis(self.switches.write_millis)).await;
        }
        let planned = plan(&self.store(), &body, self.now());
        match planned {
            Ok((entry, echo)) => match self.commit(vec![entry]) {
                Ok(()) => answer::ok(&echo),
                Err(error) => answer::json_value(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    &json!({"Message": "An error has occurred.", "ExceptionMessage": error.to_string()}),
                ),
            },
            Err(NotWritten::Refused(refusal)) => refusal.answer(),
            Err(NotWritten::NotFound) => self.missing(),
            Err(NotWritten::NotSupported) => not_allowed(),
        }
    }

    fn missing(&self) -> Answer {
        let status = StatusCode::from_u16(self.switches.missing_status).unwrap_or(StatusCode::NOT_FOUND);
        answer::message(status, "Kayıt bulunamadı.")
    }

    fn base(&self, headers: &HeaderMap) -> String {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        if self.switches.wrong_inner_host {
            format!("{INNER_HOST}/api/v1")
        } else {
            format!("http://{host}/logo/api/v1")
        }
    }

    /// Documents that match: by number, our reference, document number or LOGICALREF.
    fn orders(&self, reference: Option<&str>) -> Value {
        let store = self.store();
        let matches = |number: i64, record: &Map<String, Value>| {
            reference.is_none_or(|wanted| {
                let named = ["NUMBER", "CUST_ORD_NO", "DOC_NUMBER"];
                number.to_string() == wanted
                    || named.iter().any(|name| record.get(*name).and_then(Value::as_str) == Some(wanted))
            })
        };
        let found: Vec<Value> = store
            .orders
            .iter()
            .filter(|(number, order)| matches(*number, &order.record))
            .map(|(number, order)| {
                let mut record = order.record.clone();
                record.insert("INTERNAL_REFERENCE".to_owned(), json!(number));
                Value::Object(record)
            })
            .collect();
        json!({"count": found.len(), "orders": found})
    }

    /// Return slips: by number, document number or LOGICALREF.
    fn returns(&self, reference: Option<&str>) -> Value {
        let store = self.store();
        let named = |number: i64, record: &Map<String, Value>| {
            let is = |name: &str| record.get(name).and_then(Value::as_str) == reference;
            reference.is_none_or(|wanted| number.to_string() == wanted) || is("NUMBER") || is("DOC_NUMBER")
        };
        let slips = store.returns.iter().filter(|(number, slip)| named(*number, &slip.record));
        let found: Vec<Value> = slips
            .map(|(number, slip)| {
                let mut record = slip.record.clone();
                record.insert("INTERNAL_REFERENCE".to_owned(), json!(number));
                Value::Object(record)
            })
            .collect();
        json!({"count": found.len(), "returns": found})
    }

    /// Invoices with this number, or of this order of ours.
    fn invoices(&self, reference: Option<&str>) -> Value {
        let store = self.store();
        let all = store.documents.invoices.values().map(|invoice| &invoice.record);
        let named = |record: &&Map<String, Value>| {
            let is = |name: &str| record.get(name).and_then(Value::as_str) == reference;
            reference.is_none() || is("NUMBER") || is("DOC_NUMBER")
        };
        let found: Vec<&Map<String, Value>> = all.filter(named).collect();
        json!({"count": found.len(), "invoices": found})
    }

    /// Movements of this customer.
    fn movements(&self, reference: Option<&str>) -> Value {
        let store = self.store();
        let all = store.documents.movements.values().map(|movement| &movement.record);
        let of = |record: &&Map<String, Value>| {
            reference.is_none() || record.get("ARP_CODE").and_then(Value::as_str) == reference
        };
        let found: Vec<&Map<String, Value>> = all.filter(of).collect();
        json!({"count": found.len(), "movements": found})
    }

    fn card(&self, resource: Resource, reference: &str) -> Value {
        let store = self.store();
        let found = match (resource, reference.parse::<i64>()) {
            (Resource::Items, _) => store.item_by_code(reference).map(|found| found.reference),
            (Resource::Arps, _) => store.customer_by_code(reference).map(|found| found.reference),
            _ => None,
        };
        let found = found.or_else(|| reference.parse().ok());
        let record = found.and_then(|found| store.record(resource, found, View { base: "", full: true }));
        record.and_then(|record| serde_json::from_slice(&record).ok()).unwrap_or(Value::Null)
    }

    fn stock(&self, code: &str) -> Value {
        let store = self.store();
        let Some(item) = store.item_by_code(code) else { return Value::Null };
        let mut rows = Vec::new();
        store.stock.rows(item, &mut rows);
        let number = |units: i64| super::fields::double(rust_decimal::Decimal::new(units, 4));
        rows.iter()
            .map(|(warehouse, totals)| {
                json!({
                    "warehouse": warehouse,
                    "onHand": number(totals.on_hand),
                    "reserved": number(totals.reserved),
                    "salesOrders": number(totals.sales_orders),
                })
            })
            .collect()
    }
}

impl SandboxSystem for LogoSandbox {
    fn router(self: Arc<Self>) -> Router {
        Router::new()
            .fallback(
                async |State(logo): State<Arc<LogoSandbox>>,
                       method: Method,
                       uri: Uri,
                       headers: HeaderMap,
                       body: Bytes| { logo.handle(method, &uri, &headers, &body).await },
            )
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .with_state(self)
    }

    fn settings(&self, base_url: &str) -> Value {
        json!({
            "base_url": base_url,
            "client_id": self.switches.client_id,
            "client_secret": self.switches.client_secret,
            "username": self.switches.username,
            "password": self.switches.password,
            "firm": self.switches.firm,
            "period": self.switches.period,
            "new_customer_code": "120.WEB.{id:5}",
            // A simulation bears any rate.
            "rate_per_second": 0,
        })
    }

    /// Kinds: `expected`, `orders`, `returns`, `invoices`, `movements`, `items`, `customers`, `prices`, `stock` (with the item's code as reference); without
    /// one a summary.
    fn state(&self, kind: Option<&str>, reference: Option<&str>) -> Value {
        let written = |table: &str| {
            let store = self.store();
            let edits: Box<dyn Iterator<Item = i64> + '_> = match table {
                "items" => Box::new(store.items.edits().map(|(reference, _)| reference)),
                "customers" => Box::new(store.customers.edits().map(|(reference, _)| reference)),
                _ => Box::new(store.prices.edits().map(|(reference, _)| reference)),
            };
            edits.collect::<Vec<i64>>()
        };
        match (kind, reference) {
            (None, _) => {
                let (year, month, day) = stamp::date_of(self.now());
                json!({
                    "orders": self.store().orders.count(),
                    "writtenItems": written("items").len(),
                    "writtenCustomers": written("customers").len(),
                    "writtenPrices": written("prices").len(),
                    "sessions": self.sessions().count(self.clock.now()),
                    "today": format!("{year:04}-{month:02}-{day:02}"),
                    "clockShiftSeconds": self.clock.shifted_by(),
                    "returns": self.store().returns.count(),
                    "kinds": ["expected", "orders", "returns", "invoices", "movements", "items", "customers", "prices", "stock"],
                })
            }
            (Some("expected"), _) => self.store().expected(self.now()),
            (Some("orders" | "order" | "salesOrders"), reference) => self.orders(reference),
            (Some("returns"), reference) => self.returns(reference),
            (Some("invoices"), reference) => self.invoices(reference),
            (Some("movements"), reference) => self.movements(reference),
            (Some("items"), Some(reference)) => self.card(Resource::Items, reference),
            (Some("customers"), Some(reference)) => self.card(Resource::Arps, reference),
            (Some("prices"), Some(reference)) => self.card(Resource::SalesItemPrices, reference),
            (Some("stock"), Some(reference)) => self.stock(reference),
            (Some(table @ ("items" | "customers" | "prices")), None) => json!({"written": written(table)}),
            (Some(other), _) => json!({"error": format!("unknown kind `{other}`, or it wants a reference")}),
        }
    }

    fn change(&self, change: &Value) -> Result<Value, ControlError> {
        let (entries, counts) = self.store().change(change, self.now())?;
        self.commit(entries).map_err(|error| format!("the journal cannot be written: {error}"))?;
        Ok(counts)
    }

    fn expire_tokens(&self) {
        self.sessions().clear();
    }

    fn shift_clock(&self, seconds: i64) {
        self.clock.shift(seconds);
    }
}

fn not_allowed() -> Answer {
    answer::message(StatusCode::METHOD_NOT_ALLOWED, "The requested resource does not support this http method.")
}

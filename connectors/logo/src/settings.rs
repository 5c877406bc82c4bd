//! The settings of one instance. Each exists because a fact about LOGO varies from site to site or is not confirmed
//! in public material; README.md lists them with their defaults.

use std::{collections::BTreeMap, num::NonZeroU32, path::PathBuf, time::Duration};

use kopru_sdk::{
    BadSettings, Secret, Settings,
    outbound::{Fingerprint, Policy, Timeouts, Tls, Url},
    settings::Reader,
};
use serde_json::Value;

use crate::{
    sql::{StockColumn, StockFormula, StockTable, Warehouses},
    streams::Stream,
};

/// How a stream's records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Sql,
    Rest,
}

/// Where the client's id and secret go when a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAuth {
    /// Basic first; the body when that is refused. Which one worked is remembered.
    Auto,
    Basic,
    Body,
}

/// The content type under which the form text of a token request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenContentType {
    Form,
    Json,
}

/// The call that carries SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlCall {
    /// `POST queries/unsafe`.
    Unsafe,
    /// `GET queries`: weak with joins, here for builds without the other.
    Safe,
    Off,
}

/// Orders towards LOGO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderSettings {
    /// The field that carries our reference.
    pub key_field: String,
    /// The same of return slips, which have no field for an order's number of the customer.
    pub return_key_field: String,
    /// 1 proposal, 2 not to be shipped, 4 may be shipped.
    pub status_on_create: u8,
    pub read_after_write: bool,
    /// LOGO is asked to hold the goods of each order.
    pub reserve: bool,
    /// Writes at a time: LOGO does them one by one in any case.
    pub write_concurrency: u16,
    /// How long LOGO may still be at a write that we gave up.
    pub settle: Duration,
    /// Orders go there as exchange files instead.
    pub export_dir: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct LogoSettings {
    pub base_url: Url,
    pub policy: Policy,
    pub client_id: String,
    pub client_secret: Secret,
    pub username: String,
    pub password: Secret,
    pub firm: u16,
    /// `None`: the one that is active and covers today.
    pub period: Option<u16>,
    pub token_auth: TokenAuth,
    pub token_content_type: TokenContentType,
    /// The part of a token's life after which it is renewed.
    pub token_renew_at: f64,
    pub page_limit: u32,
    pub sql_page: u32,
    pub send_offset_zero: bool,
    pub sort: String,
    /// A chrono format, from `dd.MM.yyyy`.
    pub query_date_format: String,
    /// `q` of an incremental pass through REST, with `{date}`; `None`: such streams are read in full passes only.
    pub rest_change_filter: Option<String>,
    pub via: BTreeMap<Stream, Via>,
    pub sql_call: SqlCall,
    pub cmd_timeout: Duration,
    pub stock_formula: StockFormula,
    pub stock_table: StockTable,
    pub warehouses: Warehouses,
    /// CODETYPE and SPECODETYPE of the group codes of item cards.
    pub group_code_types: (u16, u16),
    pub read_concurrency: u16,
    pub transient_error_texts: Vec<String>,
    pub overlap: Duration,
    pub orders: OrderSettings,
    /// What a new customer card is called, with `{id}` or `{id:5}`; `None`: a person says.
    pub new_customer_code: Option<String>,
}

/// Wordings of "someone else holds the record"; LOGO's own is in the user's language and not documented.
const TRANSIENT_TEXTS: [&str; 6] = ["kullanılıyor", "kilitli", "lock", "deadlock", "timeout", "zaman aşımı"];

const IN_MAPPING: &str = "is not a setting of the connector: choose the field in mappings/logo/items.toml";
const IN_PRICE_MAPPING: &str = "is not a setting of the connector: see `price_roles` in mappings/logo/prices.toml";
const IN_STREAMS: &str =
    "is not a setting of the connector: set `full_at` in [hub] or [connectors.NAME.streams.STREAM]";

impl LogoSettings {
    pub fn read(settings: &Settings) -> Result<LogoSettings, BadSettings> {
        let mut reader = settings.reader();
        let base_url = base_url(&mut reader);
        let tls = tls(&mut reader, base_url.as_ref());
        let timeouts = reader.table("timeouts", |table| Timeouts {
            connect: table.duration("connect", Duration::from_secs(5)),
            read: table.duration("read", Duration::from_secs(60)),
            write: table.duration("write", Duration::from_secs(180)),
        });
        let rate = reader.number("rate_per_second", 0u32..=1000).unwrap_or(50);
        let max_answer_mib = reader.number("max_answer_mib", 1usize..=1024);
        let policy = Policy {
            timeouts,
            rate_per_second: NonZeroU32::new(rate),
            max_answer: max_answer_mib.map_or(Policy::MAX_ANSWER, |mib| mib * 1024 * 1024),
            tls,
        };
        let client_id = reader.required("client_id");
        let client_secret = required_secret(&mut reader, "client_secret");
        let username = reader.required("username");
        // An empty password is legal in LOGO; a missing one is a mistake.
        let password = match reader.secret("password") {
            Some(password) => password,
            None => {
                reader.refuse("password", "is required (password or password_file; it may be empty)");
                Secret::default()
            }
        };
        let firm = required_number(&mut reader, "firm", 1..=999);
        let period = match reader.value("period") {
            Some(Value::String(text)) if text.trim().is_empty() => None,
            _ => reader.number("period", 1..=99),
        };
        let token_auth = reader
            .choice("token_auth", &[("auto", TokenAuth::Auto), ("basic", TokenAuth::Basic), ("body", TokenAuth::Body)]);
        let token_content_type =
            reader.choice("token_content_type", &[("form", TokenContentType::Form), ("json", TokenContentType::Json)]);
        let token_renew_at = reader.number("token_renew_at", 0.1..=0.95).unwrap_or(0.8);
        let page_limit = reader.number("page_limit", 1..=1000).unwrap_or(25);
        let sql_page = reader.number("sql_page", 1..=10_000).unwrap_or(1000);
        let send_offset_zero = reader.flag("send_offset_zero", false);
        let sort = reader.text("sort").unwrap_or_else(|| "INTERNAL_REFERENCE".to_owned());
        let query_date_format = query_date_format(&mut reader);
        let rest_change_filter = rest_change_filter(&mut reader);
        let sql_call = reader.choice(
            "stock_source",
            &[("queries_unsafe", SqlCall::Unsafe), ("queries", SqlCall::Safe), ("off", SqlCall::Off)],
        );
        let via = via(&mut reader, sql_call);
        let cmd_timeout = reader.duration("cmd_timeout", Duration::from_secs(60));
        let stock_formula = stock_formula(&mut reader);
        let stock_table = reader.choice("stock_table", &[("LV", StockTable::View), ("LG", StockTable::Table)]);
        let warehouses = warehouses(&mut reader);
        let group_code_types = (
            reader.number("group_code_type", 0..=999).unwrap_or(4),
            reader.number("group_code_card_type", 0..=999).unwrap_or(0),
        );
        let read_concurrency = reader.number("read_concurrency", 1..=16).unwrap_or(2);
        let transient_error_texts = reader
            .texts("transient_error_texts")
            .unwrap_or_else(|| TRANSIENT_TEXTS.iter().map(|text| (*text).to_owned()).collect());
        let overlap = reader.duration("overlap", Duration::from_secs(600));
        let orders = OrderSettings {
            key_field: reader.text("order_key_field").unwrap_or_else(|| "CUST_ORD_NO".to_owned()),
            return_key_field: reader.text("return_key_field").unwrap_or_else(|| "DOC_NUMBER".to_owned()),
            status_on_create: order_status(&mut reader),
            read_after_write: reader.flag("read_after_write", true),
            reserve: reader.flag("reserve_in_logo", false),
            write_concurrency: reader.number("write_concurrency", 1..=16).unwrap_or(1),
            settle: reader.duration("settle", policy.timeouts.write),
            export_dir: reader.text("order_export_dir").filter(|dir| !dir.is_empty()).map(PathBuf::from),
        };
        if orders.reserve && !orders.read_after_write {
            reader.refuse(
                "reserve_in_logo",
                "needs read_after_write: only what LOGO shows as reserved may be let go here, or it is sold twice",
            );
        }
        if orders.reserve && orders.export_dir.is_some() {
            reader.refuse(
                "reserve_in_logo",
                "does not go with order_export_dir: nobody can see whether LOGO reserved it",
            );
        }
        if orders.export_dir.is_some() && stock_formula.terms().any(|term| term == (false, StockColumn::SalesOrders)) {
            reader.refuse(
                "stock_formula",
                "subtracts ACTSORDER, which does not go with order_export_dir: nobody can see when LOGO has imported an order, and \
                 its goods would be sold twice before",
            );
        }
        let new_customer_code = new_customer_code(&mut reader);
        for key in ["category_field", "brand_field", "sales_vat_field"] {
            reader.elsewhere(key, IN_MAPPING);
        }
        reader.elsewhere("dealer_price_rule", IN_PRICE_MAPPING);
        reader.elsewhere("full_pass_at", IN_STREAMS);
        reader.finish()?;
        // `finish` has refused a missing address; this only tells the compiler.
        let base_url = base_url.ok_or_else(|| BadSettings(Vec::new()))?;
        Ok(LogoSettings {
            base_url,
            policy,
            client_id,
            client_secret,
            username,
            password,
            firm,
            period,
            token_auth,
            token_content_type,
            token_renew_at,
            page_limit,
            sql_page,
            send_offset_zero,
            sort,
            query_date_format,
            rest_change_filter,
            via,
            sql_call,
            cmd_timeout,
            stock_formula,
            stock_table,
            warehouses,
            group_code_types,
            read_concurrency,
            transient_error_texts,
            overlap,
            orders,
            new_customer_code,
        })
    }

    /// The way in of a stream.
    pub fn via(&self, stream: Stream) -> Via {
        self.via.get(&stream).copied().unwrap_or(Via::Sql)
    }
}

fn base_url(reader: &mut Reader<'_>) -> Option<Url> {
    let text = reader.required("base_url");
    if text.is_empty() {
        return None;
    }
    let problem = match Url::parse(&text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() => {
            "must begin with http:// or https:// and name a host"
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "must not carry a user: use username and password_file"
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => "must not carry a query",
        Ok(url) if url.path().trim_end_matches('/').ends_with("/api/v1") => {
            "must end before /api/v1, which the connector adds"
        }
        Ok(url) => return Some(url),
        Err(_) => "is not an address; an example is https://logo.local:32001",
    };
    reader.refuse("base_url", problem);
    None
}

fn tls(reader: &mut Reader<'_>, base_url: Option<&Url>) -> Tls {
    #[derive(Clone, Copy, PartialEq)]
    enum Mode {
        Pin,
        Verify,
        Insecure,
    }
    let mode = reader.choice("tls", &[("pin", Mode::Pin), ("verify", Mode::Verify), ("insecure", Mode::Insecure)]);
    let pin = reader.text("tls_pin");
    let fingerprint = pin.as_deref().and_then(Fingerprint::parse);
    if pin.is_some() && fingerprint.is_none() {
        reader.refuse("tls_pin", "must be a SHA-256 fingerprint of 64 hexadecimal digits");
    }
    match (mode, fingerprint) {
        (Mode::Verify, _) => Tls::Verify,
        (Mode::Insecure, _) => Tls::Insecure,
        (Mode::Pin, Some(fingerprint)) => Tls::Pin(fingerprint),
        (Mode::Pin, None) => {
            if pin.is_none() && base_url.is_some_and(|url| url.scheme() == "https") {
                reader.refuse(
                    "tls_pin",
                    "is required with tls = \"pin\": the SHA-256 fingerprint of the service's certificate \
                     (openssl s_client -connect HOST:PORT </dev/null | openssl x509 -noout -fingerprint -sha256)",
                );
            }
            Tls::Verify
        }
    }
}

fn required_secret(reader: &mut Reader<'_>, key: &'static str) -> Secret {
    match reader.secret(key) {
        Some(secret) if !secret.is_empty() => secret,
        _ => {
            reader.refuse(key, format!("is required ({key} or {key}_file)"));
            Secret::default()
        }
    }
}

fn required_number(reader: &mut Reader<'_>, key: &'static str, bounds: std::ops::RangeInclusive<u16>) -> u16 {
    if reader.value(key).is_none() {
        reader.refuse(key, "is required");
    }
    let least = *bounds.start();
    reader.number(key, bounds).unwrap_or(least)
}

/// `dd`, `MM` and `yyyy` once each, in any order, with `.`, `-` or `/` between.
fn query_date_format(reader: &mut Reader<'_>) -> String {
    let format = reader.text("query_date_format").unwrap_or_else(|| "dd.MM.yyyy".to_owned());
    let chrono = format.replacen("dd", "%d", 1).replacen("MM", "%m", 1).replacen("yyyy", "%Y", 1);
    let rest: String = chrono.replacen("%d", "", 1).replacen("%m", "", 1).replacen("%Y", "", 1);
    if rest.len() != 2 || !rest.chars().all(|character| ".-/".contains(character)) {
        reader.refuse("query_date_format", "must be made of dd, MM and yyyy, such as dd.MM.yyyy");
    }
    chrono
}

fn rest_change_filter(reader: &mut Reader<'_>) -> Option<String> {
    let filter = reader
        .text("rest_change_filter")
        .unwrap_or_else(|| "DATE_MODIFIED gte '{date}' or DATE_CREATED gte '{date}'".to_owned());
    if filter.is_empty() {
        return None;
    }
    if !filter.contains("{date}") {
        reader.refuse("rest_change_filter", "must contain {date}, or be empty for full passes only");
    }
    Some(filter)
}

fn via(reader: &mut Reader<'_>, sql_call: SqlCall) -> BTreeMap<Stream, Via> {
    const WAYS: [(&str, Via); 2] = [("sql", Via::Sql), ("rest", Via::Rest)];
    let default = match reader.value("via") {
        None if sql_call == SqlCall::Off => Via::Rest,
        _ => reader.choice("via", &WAYS),
    };
    let chosen = reader.table("stream_via", |table| {
        let mut chosen = BTreeMap::new();
        for stream in Stream::ALL {
            let named = table.value(stream.name()).is_some();
            let via = if named { table.choice(stream.name(), &WAYS) } else { default };
            if stream.resource().is_none() {
                if named && via == Via::Rest {
                    table.refuse(stream.name(), "has no REST resource: it is read by SQL");
                }
                chosen.insert(stream, Via::Sql);
            } else {
                chosen.insert(stream, via);
            }
        }
        chosen
    });
    let by_sql = chosen.iter().any(|(stream, via)| stream.resource().is_some() && *via == Via::Sql);
    if sql_call == SqlCall::Off && by_sql {
        reader.refuse("stock_source", "is off, so via and stream_via must say rest for every stream");
    }
    chosen
}

fn stock_formula(reader: &mut Reader<'_>) -> StockFormula {
    let formula = written_formula(reader);
    // The hub stops holding an order's goods back once the formula has them off; where the formula puts them on, they would be
    // sold twice.
    let puts_on = |column| formula.terms().any(|term| term == (true, column));
    if puts_on(StockColumn::SalesOrders) || puts_on(StockColumn::Reserved) {
        reader.refuse(
            "stock_formula",
            "adds RESERVED or ACTSORDER: what orders hold would be sold a second time; subtract them, or leave them out",
        );
    } else if !puts_on(StockColumn::OnHand) {
        reader.refuse("stock_formula", "lacks ONHAND: what is not there would be sold");
    }
    formula
}

fn written_formula(reader: &mut Reader<'_>) -> StockFormula {
    match reader.text("stock_formula") {
        None => StockFormula::default(),
        Some(text) => StockFormula::parse(&text).unwrap_or_else(|| {
            reader.refuse(
                "stock_formula",
                "must add and subtract ONHAND, RESERVED, ACTSORDER and ACTPORDER, such as \"ONHAND - RESERVED\"",
            );
            StockFormula::default()
        }),
    }
}

fn warehouses(reader: &mut Reader<'_>) -> Warehouses {
    let warehouses = match reader.value("warehouses") {
        None => Some(Warehouses::default()),
        Some(Value::String(word)) if word == "each" => Some(Warehouses::Each),
        Some(Value::String(word)) if word == "total" => Some(Warehouses::Total),
        Some(Value::Array(numbers)) if !numbers.is_empty() => {
            let numbers: Option<Vec<u16>> =
                numbers.iter().map(|number| number.as_u64().and_then(|number| u16::try_from(number).ok())).collect();
            numbers.map(|mut numbers| {
                numbers.sort_unstable();
                numbers.dedup();
                Warehouses::Only(numbers)
            })
        }
        Some(_) => None,
    };
    warehouses.unwrap_or_else(|| {
        reader.refuse(
            "warehouses",
            "must be \"each\" (every warehouse), \"total\" (LOGO's own sum, INVENNO -1) or a list of warehouse numbers",
        );
        Warehouses::default()
    })
}

fn new_customer_code(reader: &mut Reader<'_>) -> Option<String> {
    let pattern = reader.text("new_customer_code").filter(|pattern| !pattern.is_empty())?;
    if coded(&pattern, 1).is_none_or(|code| code.len() > 16) {
        reader.refuse(
            "new_customer_code",
            "must contain {id} or {id:DIGITS} once, as in \"120.WEB.{id:5}\", in 16 characters",
        );
    }
    Some(pattern)
}

/// The pattern with our number of the customer in it, filled with zeros to as many digits as it says.
pub fn coded(pattern: &str, id: i64) -> Option<String> {
    let (before, rest) = pattern.split_once("{id")?;
    let (digits, after) = rest.split_once('}')?;
    let width = match digits.strip_prefix(':') {
        Some(digits) => digits.parse::<usize>().ok().filter(|width| (1..=15).contains(width))?,
        None if digits.is_empty() => 0,
        None => return None,
    };
    (!after.contains('{')).then(|| format!("{before}{id:0width$}{after}"))
}

fn order_status(reader: &mut Reader<'_>) -> u8 {
    let status = reader.number("order_status_on_create", 1..=4).unwrap_or(4);
    if status == 3 {
        reader.refuse("order_status_on_create", "must be 1 (proposal), 2 (not to be shipped) or 4 (may be shipped)");
    }
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(mut extra: Value) -> Result<LogoSettings, String> {
        let mut values = json!({"base_url": "http://logo.local:32001", "client_id": "KOPRU", "client_secret": "s",
            "username": "KOPRU", "password": "", "firm": 7});
        if let (Some(values), Some(extra)) = (values.as_object_mut(), extra.as_object_mut()) {
            values.append(extra);
        }
        let settings = Settings { instance: "logo".to_owned(), values, dir: "/nowhere".into() };
        LogoSettings::read(&settings).map_err(|bad| bad.to_string())
    }

    #[test]
    fn the_defaults_stand_as_documented() {
        let settings = read(json!({})).unwrap();
        assert_eq!(settings.period, None);
        assert_eq!((settings.page_limit, settings.sql_page), (25, 1000));
        assert_eq!(settings.query_date_format, "%d.%m.%Y");
        assert_eq!(settings.stock_formula.to_string(), "ONHAND - RESERVED");
        assert_eq!(settings.policy.timeouts.write, Duration::from_secs(180));
        assert_eq!(settings.overlap, Duration::from_secs(600));
        assert!(Stream::ALL.iter().all(|stream| settings.via(*stream) == Via::Sql));
    }

    #[test]
    fn an_empty_block_is_told_everything_it_lacks() {
        let settings = Settings { instance: "logo".to_owned(), values: json!({}), dir: "/nowhere".into() };
        let bad = LogoSettings::read(&settings).unwrap_err();
        let keys: Vec<&str> = bad.0.iter().map(|bad| bad.key.as_str()).collect();
        assert_eq!(keys, ["base_url", "client_id", "client_secret", "username", "password", "firm"]);
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest() {
        assert_eq!(read(json!({"base_urll": 1})).unwrap_err(), "base_urll: unknown key; did you mean `base_url`?");
        assert!(read(json!({"stream_via": {"itmes": "rest"}})).unwrap_err().contains("did you mean `items`?"));
    }

    #[test]
    fn a_pin_is_asked_for_where_there_is_a_certificate() {
        assert!(read(json!({"base_url": "https://logo.local"})).unwrap_err().contains("tls_pin: is required"));
        let pin = "AB".repeat(32);
        let settings = read(json!({"base_url": "https://logo.local", "tls_pin": pin})).unwrap();
        assert!(matches!(settings.policy.tls, Tls::Pin(_)));
        assert!(read(json!({"base_url": "https://logo.local", "tls": "verify"})).is_ok());
        assert!(read(json!({"base_url": "https://u:p@logo.local"})).unwrap_err().contains("must not carry a user"));
    }

    #[test]
    fn streams_choose_their_way() {
        let settings = read(json!({"via": "rest", "stream_via": {"items": "sql"}})).unwrap();
        assert_eq!(settings.via(Stream::Items), Via::Sql);
        assert_eq!(settings.via(Stream::Customers), Via::Rest);
        assert_eq!(settings.via(Stream::Stock), Via::Sql);
        assert!(read(json!({"stream_via": {"stock": "rest"}})).unwrap_err().contains("stream_via.stock"));
        assert!(read(json!({"stock_source": "off", "via": "sql"})).unwrap_err().contains("stock_source: is off"));
        assert_eq!(read(json!({"stock_source": "off"})).unwrap().via(Stream::Items), Via::Rest);
    }

    #[test]
    fn keys_that_live_elsewhere_say_where() {
        let text = read(json!({"category_field": "AUXIL_CODE", "full_pass_at": "03:30"})).unwrap_err();
        assert!(text.contains("mappings/logo/items.toml") && text.contains("full_at"), "{text}");
    }

    #[test]
    fn what_logo_reserves_must_be_seen() {
        assert!(read(json!({"reserve_in_logo": true})).unwrap().orders.reserve);
        let unseen = read(json!({"reserve_in_logo": true, "read_after_write": false})).unwrap_err();
        assert!(unseen.starts_with("reserve_in_logo: needs read_after_write"), "{unseen}");
        let filed = read(json!({"reserve_in_logo": true, "order_export_dir": "/srv/logo/in"})).unwrap_err();
        assert!(filed.starts_with("reserve_in_logo: does not go with order_export_dir"), "{filed}");
        let taken = json!({"stock_formula": "ONHAND - ACTSORDER", "order_export_dir": "/srv/logo/in"});
        let taken = read(taken).unwrap_err();
        assert!(taken.starts_with("stock_formula: subtracts ACTSORDER"), "{taken}");
    }

    #[test]
    fn new_codes_bear_our_number() {
        assert_eq!(coded("120.WEB.{id:5}", 42).as_deref(), Some("120.WEB.00042"));
        assert_eq!(coded("W{id}X", 1_234_567).as_deref(), Some("W1234567X"));
        assert_eq!(coded("{id:x}", 1), None);
    }

    #[test]
    fn closed_vocabularies_are_closed() {
        for (extra, key) in [
            (json!({"stock_formula": "ONHAND * 2"}), "stock_formula"),
            (json!({"warehouses": [-1, 0]}), "warehouses"),
            (json!({"query_date_format": "d.M.yy"}), "query_date_format"),
            (json!({"order_status_on_create": 3}), "order_status_on_create"),
            (json!({"new_customer_code": "120.WEB"}), "new_customer_code"),
            (json!({"new_customer_code": "120.MÜŞTERİ.WEB.{id:9}"}), "new_customer_code"),
            (json!({"rest_change_filter": "X gt 1"}), "rest_change_filter"),
            (json!({"base_url": "http://logo.local/api/v1"}), "base_url"),
        ] {
            assert!(read(extra).unwrap_err().starts_with(key), "{key}");
        }
        let settings = read(json!({"warehouses": [2, 0, 2], "query_date_format": "yyyy-MM-dd"})).unwrap();
        assert_eq!(settings.warehouses, Warehouses::Only(vec![0, 2]));
        assert_eq!(settings.query_date_format, "%Y-%m-%d");
    }
}

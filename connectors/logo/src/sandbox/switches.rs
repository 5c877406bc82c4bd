//! How this LOGO behaves where sites differ: `{"logo": {…}}` of the sandbox's switches.

use chrono::{Datelike as _, NaiveDate};
use kopru_sdk::{BadSettings, sandbox::SandboxOptions, settings::BadSetting};
use serde::Deserialize;

use super::stamp::{date_of, seconds_of};

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Switches {
    pub client_id: String,
    pub client_secret: String,
    pub username: String,
    pub password: String,
    pub firm: u16,
    pub period: u16,
    /// Where the period lies; the current calendar year when not given.
    pub period_begin: Option<NaiveDate>,
    pub period_end: Option<NaiveDate>,
    pub token_lifetime_secs: u64,
    /// The client's id and secret are taken from the Authorization header only.
    pub basic_only: bool,
    /// They are taken from the body only; Basic is answered `invalid_client`.
    pub body_only: bool,
    /// Records on a page when no `limit` is given.
    pub page_default: u64,
    /// No page is longer, whatever `limit` says; 0: no ceiling.
    pub page_ceiling: u64,
    /// `offset=0` is answered 400.
    pub offset_zero_refused: bool,
    /// `href`s carry the address under which the service is configured inside its network.
    pub wrong_inner_host: bool,
    /// Whether `queries` may be used at all.
    pub sql_allowed: bool,
    /// What every query pretends to take; above its time limit it is broken off there.
    pub query_millis: u64,
    /// What every write takes while it holds the firm.
    pub write_millis: u64,
    /// Status for a record that is not there.
    pub missing_status: u16,
    /// Orders that were shipped, invoiced and booked before the start.
    pub documents: u64,
}

impl Default for Switches {
    fn default() -> Switches {
        Switches {
            client_id: super::CLIENT_ID.to_owned(),
            client_secret: super::CLIENT_SECRET.to_owned(),
            username: super::USERNAME.to_owned(),
            password: super::PASSWORD.to_owned(),
            firm: super::FIRM,
            period: super::PERIOD,
            period_begin: None,
            period_end: None,
            token_lifetime_secs: 1_199,
            basic_only: false,
            body_only: false,
            page_default: 10,
            page_ceiling: 25,
            offset_zero_refused: false,
            wrong_inner_host: true,
            sql_allowed: true,
            query_millis: 0,
            write_millis: 20,
            missing_status: 404,
            documents: 0,
        }
    }
}

const KNOWN: [&str; 20] = [
    "client_id",
    "client_secret",
    "username",
    "password",
    "firm",
    "period",
    "period_begin",
    "period_end",
    "token_lifetime_secs",
    "basic_only",
    "body_only",
    "page_default",
    "page_ceiling",
    "offset_zero_refused",
    "wrong_inner_host",
    "sql_allowed",
    "query_millis",
    "write_millis",
    "missing_status",
    "documents",
];

impl Switches {
    pub fn read(options: &SandboxOptions) -> Result<Switches, BadSettings> {
        let switches: Switches = options.switches("logo", &KNOWN)?;
        let mut bad = Vec::new();
        let mut refuse = |key: &str, problem: &str| {
            bad.push(BadSetting { key: key.to_owned(), problem: problem.to_owned() });
        };
        if switches.basic_only && switches.body_only {
            refuse("body_only", "excludes `basic_only`");
        }
        if !matches!(switches.missing_status, 400 | 404) {
            refuse("missing_status", "must be 400 or 404");
        }
        if switches.page_default == 0 {
            refuse("page_default", "must be at least 1");
        }
        if switches.firm == 0 || switches.firm > 999 {
            refuse("firm", "must lie between 1 and 999");
        }
        if switches.period == 0 || switches.period > 99 {
            refuse("period", "must lie between 1 and 99");
        }
        if bad.is_empty() { Ok(switches) } else { Err(BadSettings(bad)) }
    }

    /// First and last day of the period, local midnights.
    pub fn period_days(&self, now: i64) -> (i64, i64) {
        let (year, _, _) = date_of(now);
        let midnight = |date: NaiveDate| seconds_of(date.year().into(), date.month().into(), date.day().into());
        (
            self.period_begin.map_or(seconds_of(year, 1, 1), midnight),
            self.period_end.map_or(seconds_of(year, 12, 31), midnight),
        )
    }
}

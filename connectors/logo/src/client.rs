//! One function per remote operation.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use bytes::Bytes;
use chrono::NaiveDate;
use kopru_sdk::{
    Fault,
    outbound::{Answer, Call, Effect, HeaderValue, Method, Outbound, header},
};
use tokio::sync::{Mutex, Semaphore};

use crate::{
    faults, read,
    settings::{LogoSettings, SqlCall, Via},
    sql::{self, Query},
    streams::Stream,
    token::Tokens,
    wire::{self, List, Period},
    write::{self, NotWritten, Record, Unsigned},
};

pub struct LogoClient {
    pub settings: LogoSettings,
    outbound: Outbound,
    tokens: Tokens,
    reads: Semaphore,
    writes: Semaphore,
    /// The period in whose tables we read, as long as it covers the day that is asked for.
    period: Mutex<Option<Period>>,
    /// Streams whose pages were too large: how many rows are asked for until their pass ends.
    smaller: std::sync::Mutex<BTreeMap<Stream, u32>>,
}

impl LogoClient {
    pub fn new(settings: LogoSettings) -> Result<LogoClient, String> {
        let outbound = Outbound::new(&settings.base_url, settings.policy.clone())?;
        let reads = Semaphore::new(usize::from(settings.read_concurrency));
        let writes = Semaphore::new(usize::from(settings.orders.write_concurrency));
        Ok(LogoClient {
            settings,
            outbound,
            tokens: Tokens::default(),
            reads,
            writes,
            period: Mutex::new(None),
            smaller: std::sync::Mutex::default(),
        })
    }

    /// Rows that a page of the stream asks for.
    pub fn page_rows(&self, stream: Stream) -> u32 {
        let most = match self.settings.via(stream) {
            Via::Sql => self.settings.sql_page,
            Via::Rest => self.settings.page_limit,
        };
        let smaller = self.smaller.lock().unwrap_or_else(PoisonError::into_inner);
        smaller.get(&stream).copied().unwrap_or(most)
    }

    /// `None`: as many as the settings say.
    pub fn set_page_rows(&self, stream: Stream, rows: Option<u32>) {
        let mut smaller = self.smaller.lock().unwrap_or_else(PoisonError::into_inner);
        match rows {
            Some(rows) => smaller.insert(stream, rows),
            None => smaller.remove(&stream),
        };
    }

    /// Signs in, when that is not done.
    pub async fn sign_in(&self) -> Result<(), Fault> {
        self.bearer().await.map(drop)
    }

    /// `GET /{resource}`: a page of records.
    pub async fn records(&self, resource: &str, query: Vec<(&'static str, String)>) -> Result<List, Fault> {
        let mut call = Call::read(Method::GET, format!("/api/v1/{resource}"));
        call.query = query;
        self.list(call).await
    }

    /// SQL through the service.
    pub async fn query(&self, query: &Query) -> Result<List, Fault> {
        let text = sql::render(query);
        // The service gives up at cmdTimeout; to give up before it would only leave the query running there.
        let patience = self.settings.cmd_timeout.max(self.settings.policy.timeouts.read);
        let call = match self.settings.sql_call {
            SqlCall::Unsafe => Call::read(Method::POST, "/api/v1/queries/unsafe")
                .query("cmdTimeout", self.settings.cmd_timeout.as_secs().to_string())
                .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))
                .body(serde_json::Value::String(text).to_string()),
            SqlCall::Safe => Call::read(Method::GET, "/api/v1/queries").query("tsql", text),
            SqlCall::Off => return Err(Fault::contract("SQL through the service is switched off (stock_source)")),
        };
        self.list(call.timeout(patience)).await.map_err(read::as_query)
    }

    /// `GET /methods/CurrentPeriod`: the active period of the firm, a bare number.
    pub async fn active_period(&self) -> Result<u16, Fault> {
        let answer = self.call(Call::read(Method::GET, "/api/v1/methods/CurrentPeriod")).await?;
        let text = answer.json_text()?;
        let number = std::str::from_utf8(&text).ok().and_then(|text| text.trim().trim_matches('"').parse().ok());
        number.ok_or_else(|| Fault::transient(format!("{}: the answer is not the number of a period", answer.call)))
    }

    /// The period in whose tables we read: the configured one, else the active one that covers `today`. Asked once,
    /// until it is over or `anew` asks again.
    pub async fn period(&self, today: NaiveDate, anew: bool) -> Result<Period, Fault> {
        let mut known = self.period.lock().await;
        if let Some(period) = *known
            && period.covers(today)
            && !anew
        {
            return Ok(period);
        }
        *known = None;
        let list = self.query(&Query::Periods { firm: self.settings.firm }).await?;
        let periods = wire::read_periods(&list)
            .map_err(|problem| read::unreadable(problem, "the query of the periods", &self.settings))?;
        let period = choose_period(&periods, self.settings.firm, self.settings.period, today)?;
        *known = Some(period);
        Ok(period)
    }

    /// `GET /{resource}/{reference}` with its lines; `None`: it is not there, which builds tell by 404 or by 400.
    pub async fn record(&self, resource: &str, reference: &str) -> Result<Option<Record>, Fault> {
        let call = Call::read(Method::GET, format!("/api/v1/{resource}/{reference}")).query("expandLevel", "full");
        let answer =
            self.with_token(&self.reads, call, |answer| match faults::classify(&answer, Effect::Read, self.texts()) {
                Some(fault) => Err(fault),
                None => Ok(answer),
            });
        match answer.await {
            Ok(answer) => write::record_of(&answer).map(Some),
            Err(Fault::NotFound { .. }) => Ok(None),
            Err(Fault::Permanent(refusal)) if refusal.reason == "refused" => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// A call that changes something over there, with its JSON body. What comes back is the record of the answer.
    pub async fn write(&self, method: Method, path: String, body: Bytes) -> Result<Record, NotWritten> {
        let call = Call::change(method, path)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))
            .body(body);
        self.with_token(&self.writes, call, |answer| write::judge(&answer, self.texts())).await
    }

    fn texts(&self) -> &[String] {
        &self.settings.transient_error_texts
    }

    /// Gives the token back, so that its licence seat is free.
    pub async fn sign_out(&self) -> Result<(), Fault> {
        let Some(bearer) = self.tokens.take().await else { return Ok(()) };
        let call = Call::read(Method::GET, "/api/v1/revoke")
            .header(header::AUTHORIZATION, (*bearer).clone())
            .timeout(std::time::Duration::from_secs(5));
        self.outbound.send(call).await.map(drop)
    }

    async fn list(&self, call: Call) -> Result<List, Fault> {
        read::list(&self.call(call).await?, &self.settings)
    }

    /// The token. A flood in answer to a sign-in is a system in trouble: no page of ours is too large.
    async fn bearer(&self) -> Result<Arc<HeaderValue>, Fault> {
        let bearer = self.tokens.get(&self.outbound, &self.settings).await;
        bearer.map_err(|fault| if fault.is_too_large() { Fault::transient(fault.to_string()) } else { fault })
    }

    /// A call with the token; a token that is refused is renewed once, and the call repeated once.
    async fn call(&self, call: Call) -> Result<Answer, Fault> {
        self.with_token(&self.reads, call, |answer| read::accepted(answer, &self.settings)).await
    }

    /// In its turn, with the token, once more with a new one if the first is refused: LOGO looks at the token before it
    /// does anything.
    async fn with_token<T, E: From<Fault> + Unsigned>(
        &self,
        turn: &Semaphore,
        call: Call,
        judge: impl Fn(Answer) -> Result<T, E>,
    ) -> Result<T, E> {
        let call = call.header(header::ACCEPT, HeaderValue::from_static("application/json"));
        let _permit = turn.acquire().await.map_err(|_| Fault::transient("the connector is closing"))?;
        let bearer = self.bearer().await?;
        let attempt = async |call: Call, bearer: &HeaderValue| {
            judge(self.outbound.send(call.header(header::AUTHORIZATION, bearer.clone())).await?)
        };
        match attempt(call.clone(), &bearer).await {
            Err(refused) if refused.is_unsigned() => {
                self.tokens.forget(&bearer).await;
                let bearer = self.bearer().await?;
                attempt(call, &bearer).await
            }
            outcome => outcome,
        }
    }
}

pub(crate) fn choose_period(
    periods: &[Period],
    firm: u16,
    configured: Option<u16>,
    today: NaiveDate,
) -> Result<Period, Fault> {
    let fault = |text: String| Err(Fault::Contract { detail: text });
    match configured {
        Some(number) => match periods.iter().find(|period| period.number == number) {
            None => fault(format!("firm {firm} has no period {number} in LOGO: correct `period`")),
            Some(period) if !period.covers(today) => fault(format!(
                "period {number} of firm {firm} runs from {} to {} and does not cover {today}: open the new period in \
                 LOGO and set `period`, or leave `period` empty to follow the active one",
                period.begins, period.ends
            )),
            Some(period) if !period.active => {
                fault(format!("period {number} of firm {firm} covers {today} but is closed in LOGO"))
            }
            Some(period) => Ok(*period),
        },
        None => {
            let covering = periods.iter().filter(|period| period.covers(today));
            match covering.max_by_key(|period| (period.active, period.number)) {
                Some(period) if period.active => Ok(*period),
                Some(period) => {
                    fault(format!("period {} of firm {firm} covers {today} but is closed in LOGO", period.number))
                }
                None => fault(format!("no period of firm {firm} covers {today}: open the new period in LOGO")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_period_is_the_one_that_covers_today() {
        let period = |number, from, to, active| Period { number, begins: day(from), ends: day(to), active };
        let periods = [
            period(1, "2025-01-01", "2025-12-31", false),
            period(2, "2026-01-01", "2026-12-31", true),
            period(3, "2027-01-01", "2027-12-31", false),
        ];
        let choose = |configured, today| {
            choose_period(&periods, 7, configured, day(today)).map(|period| period.number).map_err(|f| f.to_string())
        };
        assert_eq!(choose(None, "2026-03-02"), Ok(2));
        assert_eq!(choose(Some(2), "2026-12-31"), Ok(2));
        assert!(choose(Some(1), "2026-01-01").unwrap_err().contains("does not cover 2026-01-01"));
        assert!(choose(Some(9), "2026-01-01").unwrap_err().contains("has no period 9"));
        assert!(choose(Some(3), "2027-01-01").unwrap_err().contains("is closed"));
        assert!(choose(None, "2027-01-01").unwrap_err().contains("is closed"));
        assert!(choose(None, "2028-01-01").unwrap_err().contains("no period of firm 7 covers"));
    }
}

//! Looking, waiting and sending: what is the same for all documents.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kopru_sdk::{Ctx, Fault, Outgoing, Outlet, Refusal, Sent, Sink, Taken};
use serde_json::Value;

use super::super::engine::Engine;

/// What came of it.
#[derive(Debug)]
pub enum Came {
    Taken(Taken),
    /// Something is there that a person has to judge.
    Parked(Refusal),
    /// Nothing was made over there, and nothing may be there from before.
    Refused(Fault),
    /// Something may be there.
    Unknown(Fault),
}

/// What is to be sent, and what is known of earlier calls.
#[derive(Debug)]
pub struct Errand<'a> {
    pub outlet: Outlet,
    pub reference: &'a str,
    pub attempt: u32,
    pub unknown_since: Option<DateTime<Utc>>,
    pub external_id: Option<&'a str>,
    pub was_there: bool,
    pub record: &'a Value,
    pub document: &'a Value,
}

impl Errand<'_> {
    pub fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            what: self.outlet.what,
            reference: self.reference,
            attempt: self.attempt,
            unknown_since: self.unknown_since,
            external_id: self.external_id,
            was_there: self.was_there,
            record: self.record,
            document: self.document,
        }
    }
}

/// What looking for it came to.
#[derive(Debug)]
pub enum Looked {
    Came(Came),
    /// Nothing is there, and nothing that is under way can come any more.
    Clear,
}

/// Looks for what an earlier call may have made. While the system may still be at it, that nothing is there means nothing.
pub async fn look(engine: &Engine, cx: &Ctx, sink: &dyn Sink, errand: &Errand<'_>) -> Result<Looked, sqlx::Error> {
    let Some(since) = errand.unknown_since.filter(|_| !errand.outlet.idempotent) else { return Ok(Looked::Clear) };
    // Asked before it is looked: what is found missing was missing after that.
    let now = engine.database_now().await?;
    Ok(match sink.find(cx, &errand.outgoing()).await {
        Ok(Sent::Done(taken)) => Looked::Came(Came::Taken(storable(taken))),
        Ok(Sent::Parked(refusal)) => Looked::Came(Came::Parked(refusal)),
        Ok(Sent::Nothing) => match still_at_it(since, sink.settle(), now) {
            Some(wait) => Looked::Came(Came::Unknown(Fault::RateLimited {
                wait: Some(wait),
                detail: format!(
                    "{} is not there; the call before broke off at {} and may still be worked on, so it is looked for again \
                     before it is sent again",
                    errand.reference,
                    since.format("%H:%M:%S")
                ),
            })),
            None => Looked::Clear,
        },
        Err(fault) => Looked::Came(Came::Unknown(fault)),
    })
}

/// What is kept of it must not be what keeps an outcome from being written: no control characters, and no longer than its place.
fn storable(taken: Taken) -> Taken {
    const LONGEST: usize = 50;
    let clean =
        |text: String| text.chars().filter(|character| !character.is_control()).take(LONGEST).collect::<String>();
    Taken {
        external_id: clean(taken.external_id),
        number: taken.number.map(clean).filter(|number| !number.is_empty()),
        note: taken.note,
        holds_goods: taken.holds_goods,
    }
}

fn still_at_it(since: DateTime<Utc>, settle: Duration, now: DateTime<Utc>) -> Option<Duration> {
    let until = since + TimeDelta::from_std(settle).unwrap_or(TimeDelta::MAX);
    (until - now).to_std().ok().filter(|left| !left.is_zero())
}

/// Sends it once.
pub async fn send(cx: &Ctx, sink: &dyn Sink, errand: &Errand<'_>) -> Came {
    match sink.send(cx, &errand.outgoing()).await {
        Ok(Sent::Done(taken)) => Came::Taken(storable(taken)),
        Ok(Sent::Parked(refusal)) => Came::Parked(refusal),
        // A connector that answers so has not understood what it was asked.
        Ok(Sent::Nothing) => {
            Came::Unknown(Fault::UnknownOutcome { detail: "the connector does not say what came of it".to_owned() })
        }
        Err(fault @ Fault::UnknownOutcome { .. }) => Came::Unknown(fault),
        Err(fault) => Came::Refused(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_fits() {
        let taken = Taken { external_id: "7\0".to_owned(), number: Some("9".repeat(80)), ..Taken::default() };
        let kept = storable(taken);
        assert_eq!((kept.external_id.as_str(), kept.number.map(|number| number.len())), ("7", Some(50)));
    }

    #[test]
    fn a_system_is_at_it_until_its_time_is_over() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let since = at("2026-11-21T10:00:00Z");
        let settle = Duration::from_secs(180);
        assert_eq!(still_at_it(since, settle, at("2026-11-21T10:01:00Z")), Some(Duration::from_secs(120)));
        assert_eq!(still_at_it(since, settle, at("2026-11-21T10:03:00Z")), None);
        assert_eq!(still_at_it(since, Duration::ZERO, since), None);
        // A clock that was put back waits longer, never shorter.
        assert_eq!(still_at_it(since, settle, at("2026-11-21T09:59:00Z")), Some(Duration::from_secs(240)));
    }
}

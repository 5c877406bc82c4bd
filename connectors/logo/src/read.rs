//! What an answer of LOGO's means: the same for one that has just come and for one that was recorded.

use chrono::NaiveDate;
use kopru_sdk::{
    Fault, Format, Operation, ReadRecords, Reading, Recorded,
    outbound::{Answer, Effect},
};

use crate::{
    client::choose_period,
    faults, pull,
    settings::LogoSettings,
    streams::Stream,
    token,
    wire::{self, List},
};

const TOKEN: Operation = Operation { name: "token", what: "POST token: signing in", mapping: None };
const PERIODS: Operation = Operation { name: "periods", what: "the query of the firm's periods", mapping: None };

const ITEM_UNITS: Operation =
    Operation { name: "item_units", what: "the query of the unit lines of a page's items", mapping: None };

/// An answer to a read that LOGO did not refuse.
pub fn accepted(answer: Answer, settings: &LogoSettings) -> Result<Answer, Fault> {
    let texts = &settings.transient_error_texts;
    if let Some(fault) = faults::classify(&answer, Effect::Read, texts) {
        return Err(as_reading(fault));
    }
    // A login that is gone may be told under status 200; a list says so itself, everything else here.
    if answer.body.len() < 4096
        && let Ok(text) = answer.text()
        && let Some(refused) = faults::Refused::read(&text)
        && let Some(fault @ Fault::Unauthenticated { .. }) = faults::refusal(&refused, texts, &answer.call)
    {
        return Err(fault);
    }
    Ok(answer)
}

/// The records of an accepted answer.
pub fn list(answer: &Answer, settings: &LogoSettings) -> Result<List, Fault> {
    wire::read_list(answer.json_text()?).map_err(|problem| unreadable(problem, &answer.call, settings))
}

pub fn unreadable(problem: wire::NotAList, call: &str, settings: &LogoSettings) -> Fault {
    as_reading(problem.fault(call, &settings.transient_error_texts))
}

/// The fault of a query by SQL, with what it most often comes from.
pub fn as_query(fault: Fault) -> Fault {
    match fault {
        Fault::Contract { detail } => Fault::Contract {
            detail: format!(
                "{detail} (is SELECT allowed in the service's settings, and are firm and period the right ones?)"
            ),
        },
        fault => fault,
    }
}

/// The list holds the groups of all kinds of cards; a record that does not say its kind stays.
pub fn groups_of_items(list: List, settings: &LogoSettings) -> Result<List, Fault> {
    let card_type = u64::from(settings.group_code_types.1);
    let keep = |row: &serde_json::Value| {
        row.get("SPE_CODE_TYPE").and_then(serde_json::Value::as_u64).is_none_or(|found| found == card_type)
    };
    wire::retain(list, keep).map_err(|problem| unreadable(problem, "the list of group codes", settings))
}

/// A read that is refused for good has no document that could be put right: what we ask for, or where, is wrong.
fn as_reading(fault: Fault) -> Fault {
    match fault {
        Fault::Permanent(refusal) => Fault::Contract { detail: refusal.detail },
        Fault::NotFound { detail } => Fault::Contract { detail },
        fault => fault,
    }
}

/// What of LOGO's can be read without LOGO: the streams, signing in, the periods.
pub fn operations(settings: &LogoSettings) -> Vec<Operation> {
    let stream = |stream: Stream| {
        let what = match stream.resource() {
            Some(resource) => resource.path,
            None if stream == Stream::Ledger => "the query of the current accounts",
            None => "the query of stock",
        };
        Operation { name: stream.name(), what, mapping: Some(stream.spec(settings).mapping) }
    };
    [TOKEN, PERIODS, ITEM_UNITS].into_iter().chain(Stream::ALL.into_iter().map(stream)).collect()
}

/// Reads a recorded answer of one of [`operations`]; `today` is the day on which it came.
pub fn recorded(settings: &LogoSettings, today: NaiveDate, recorded: &Recorded) -> Result<Reading, Fault> {
    let name = recorded.operation.as_str();
    let answer = recorded.answer(&format!("the recorded answer of {name}"), settings.policy.max_answer)?;
    let said = |note: String| Reading { records: None, notes: vec![note] };
    if name == TOKEN.name {
        let (_, life) = token::judge(&answer, settings).map_err(|refused| refused.fault)?;
        return Ok(said(format!("a token, renewed after {} s", life.as_secs())));
    }
    if name == PERIODS.name {
        let read = accepted(answer, settings).and_then(|answer| list(&answer, settings)).map_err(as_query)?;
        let periods = wire::read_periods(&read).map_err(|problem| unreadable(problem, "the periods", settings))?;
        let period = choose_period(&periods, settings.firm, settings.period, today)?;
        return Ok(said(format!("period {} from {} to {}", period.number, period.begins, period.ends)));
    }
    if name == ITEM_UNITS.name {
        let lines = accepted(answer, settings).and_then(|answer| list(&answer, settings)).map_err(as_query)?;
        return Ok(said(format!("{} unit lines, which go into the records of their items", lines.rows)));
    }
    let Some(stream) = Stream::parse(name) else {
        return Err(Fault::contract(format!("LOGO has no operation `{name}`")));
    };
    records(settings, stream, answer)
}

fn records(settings: &LogoSettings, stream: Stream, answer: Answer) -> Result<Reading, Fault> {
    let by_sql = stream.resource().is_none();
    let read = accepted(answer, settings).and_then(|answer| list(&answer, settings));
    let read = if by_sql { read.map_err(as_query)? } else { read? };
    let has_place = match stream {
        Stream::Stock => read.last.item.is_some() && read.last.warehouse.is_some(),
        _ => read.last.reference.is_some(),
    };
    if by_sql && read.rows > 0 && !has_place {
        return Err(pull::without_place(stream));
    }
    let received = read.rows;
    let read = if stream == Stream::GroupCodes { groups_of_items(read, settings)? } else { read };
    let mut notes = Vec::new();
    if received == 0 {
        notes.push("no records: the pass would end here".to_owned());
    }
    if let Some(total) = read.total {
        notes.push(format!("the list has {total} records in all"));
    }
    Ok(Reading { records: Some(ReadRecords { body: read.body, format: Format::Json, rows: received }), notes })
}

//! What an answer to a write means. Pure.
//!
//! The answer to a create is an echo: the reference of the new record is real, its number may still be `~`. Whatever is
//! no echo and no refusal says nothing of what was done.

use kopru_sdk::{
    Fault, Refusal,
    outbound::{Answer, Effect},
};
use serde_json::{Map, Value};

use crate::faults::{self, Refused};

/// A record in LOGO's words.
pub type Record = Map<String, Value>;

/// Why a write brought no record.
#[derive(Debug)]
pub struct NotWritten {
    pub fault: Fault,
    /// The refusal does not tell for sure that nothing is there: a number that is taken may be that of our own slip, and a
    /// refusal under status 200 may come after the work.
    pub is_doubtful: bool,
}

impl From<Fault> for NotWritten {
    fn from(fault: Fault) -> NotWritten {
        NotWritten { fault, is_doubtful: false }
    }
}

/// Whether it was the token that was refused.
pub trait Unsigned {
    fn is_unsigned(&self) -> bool;
}

impl Unsigned for Fault {
    fn is_unsigned(&self) -> bool {
        matches!(self, Fault::Unauthenticated { .. })
    }
}

impl Unsigned for NotWritten {
    fn is_unsigned(&self) -> bool {
        self.fault.is_unsigned()
    }
}

/// The record of an answer to a write.
pub fn judge(answer: &Answer, transient_texts: &[String]) -> Result<Record, NotWritten> {
    if let Some(fault) = faults::classify(answer, Effect::Change, transient_texts) {
        // A lock or a time-out that ended in an exception may have been met after the work.
        let fault = match fault {
            Fault::Transient { detail } if answer.status.as_u16() == 500 => Fault::UnknownOutcome { detail },
            fault => fault,
        };
        let is_doubtful = matches!(&fault, Fault::Permanent(refusal) if refusal.reason == "constraint");
        return Err(NotWritten { fault, is_doubtful });
    }
    let unclear = |why: String| NotWritten::from(Fault::UnknownOutcome { detail: format!("{}: {why}", answer.call) });
    if answer.body.trim_ascii().is_empty() {
        // 204: done, with nothing to say.
        return Ok(Record::new());
    }
    let text = answer.json_text().map_err(|fault| unclear(fault.to_string()))?;
    let record = match serde_json::from_slice::<Value>(&text) {
        Ok(Value::Object(record)) => record,
        Ok(_) => return Err(unclear("the answer is no record".to_owned())),
        Err(_) => return Err(unclear("the answer cannot be read".to_owned())),
    };
    if reference_of(&record).is_none()
        && let Some(refused) = Refused::read(&text)
    {
        let detail = format!("{}: LOGO refused, though the status tells success: {}", answer.call, refused.summary());
        let fault = faults::refusal(&refused, transient_texts, &detail).unwrap_or_else(|| {
            Fault::Permanent(Refusal { reason: "refused".to_owned(), field: None, value: None, detail })
        });
        return Err(NotWritten { fault, is_doubtful: true });
    }
    Ok(record)
}

/// The record of an answer to a read.
pub fn record_of(answer: &Answer) -> Result<Record, Fault> {
    let text = answer.json_text()?;
    match serde_json::from_slice(&text) {
        Ok(Value::Object(record)) => Ok(record),
        _ => Err(Fault::transient(format!("{}: the answer is no record", answer.call))),
    }
}

/// LOGICALREF, when it is one.
pub fn reference_of(record: &Record) -> Option<i64> {
    let reference = record.get("INTERNAL_REFERENCE")?;
    let number = reference.as_i64().or_else(|| reference.as_str()?.trim().parse().ok());
    number.or_else(|| reference.to_string().strip_suffix(".0")?.parse().ok()).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use kopru_sdk::outbound::StatusCode;

    use super::*;

    fn outcome(status: u16, body: &str) -> Result<Option<i64>, (&'static str, bool)> {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            content_type: Some("application/json".to_owned()),
            retry_after: None,
            body: body.to_owned().into(),
            call: "POST /api/v1/salesOrders at logo".to_owned(),
        };
        let texts = ["kilitli".to_owned(), "timeout".to_owned()];
        judge(&answer, &texts)
            .map(|record| reference_of(&record))
            .map_err(|refused| (refused.fault.class(), refused.is_doubtful))
    }

    #[test]
    fn an_echo_is_a_success_and_everything_unreadable_an_unknown_outcome() {
        assert_eq!(outcome(200, r#"{"INTERNAL_REFERENCE":735,"NUMBER":"~"}"#), Ok(Some(735)));
        assert_eq!(outcome(201, r#"{"INTERNAL_REFERENCE":735.0}"#), Ok(Some(735)));
        assert_eq!(outcome(200, r#"{"INTERNAL_REFERENCE":"735"}"#), Ok(Some(735)));
        assert_eq!(outcome(204, ""), Ok(None));
        assert_eq!(outcome(200, r#"{"INTERNAL_REF"#), Err(("unknown_outcome", false)));
        assert_eq!(outcome(200, "<html>"), Err(("unknown_outcome", false)));
        assert_eq!(outcome(200, "[]"), Err(("unknown_outcome", false)));
        assert_eq!(outcome(502, ""), Err(("unknown_outcome", false)));
        assert_eq!(outcome(503, ""), Err(("transient", false)));
    }

    #[test]
    fn refusals_say_whether_something_may_be_there() {
        let state = |entries: &str| format!(r#"{{"Message":"The request is invalid.","ModelState":{entries}}}"#);
        assert_eq!(outcome(400, &state(r#"{"ValError0":["ARP_CODE bulunamadı. [6]"]}"#)), Err(("permanent", false)));
        assert_eq!(outcome(400, &state(r#"{"LOError:":["kayıt kilitli"]}"#)), Err(("transient", false)));
        assert_eq!(outcome(400, &state(r#"{"DBError":["23000"]}"#)), Err(("permanent", true)));
        assert_eq!(outcome(400, &state(r#"{"LoginError":["x"]}"#)), Err(("unauthenticated", false)));
        assert_eq!(outcome(400, &state(r#"{"LOError:":["(-93)"]}"#)), Err(("transient", false)));
        assert_eq!(outcome(400, &state(r#"{"LOError:":["(-13)"]}"#)), Err(("contract", false)));
        assert_eq!(outcome(400, &state(r#"{"ValError0":["DATE [202]"]}"#)), Err(("contract", false)));
        assert_eq!(outcome(200, r#"{"Message":"Olmadı"}"#), Err(("permanent", true)));
        assert_eq!(outcome(200, &state(r#"{"LOError:":["kayıt kilitli"]}"#)), Err(("transient", true)));
        assert_eq!(
            outcome(500, r#"{"Message":"x","ExceptionMessage":"Lock timeout"}"#),
            Err(("unknown_outcome", false))
        );
    }
}

//! LOGO's refusals to [`Fault`]s. Pure: a recorded answer is classed as a live one is.

use kopru_sdk::{
    Fault, Refusal,
    outbound::{Answer, Effect, by_status},
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What LOGO says when it refuses: the model state of a Web API, an exception, or the answer of the token endpoint.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Refused {
    #[serde(rename = "Message")]
    pub message: Option<String>,
    #[serde(rename = "ExceptionMessage")]
    pub exception: Option<String>,
    #[serde(rename = "ModelState")]
    pub model_state: Option<Map<String, Value>>,
    pub error: Option<String>,
    pub error_description: Option<String>,
}

impl Refused {
    /// `None` when the body says nothing that LOGO would say.
    pub fn read(body: &[u8]) -> Option<Refused> {
        serde_json::from_slice::<Refused>(body).ok().filter(|refused| *refused != Refused::default())
    }

    /// Key and text of every entry of the model state.
    fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.model_state.iter().flatten().flat_map(|(key, value)| {
            let texts: &[Value] = match value {
                Value::Array(texts) => texts,
                one => std::slice::from_ref(one),
            };
            texts.iter().filter_map(move |text| Some((key.as_str(), text.as_str()?)))
        })
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let own = [&self.message, &self.exception, &self.error_description];
        own.into_iter().filter_map(|text| text.as_deref()).chain(self.entries().map(|(_, text)| text))
    }

    /// One line for a person: the entries when there are any, else the message.
    pub fn summary(&self) -> String {
        let entries: Vec<&str> = self.entries().map(|(_, text)| text.trim()).filter(|text| !text.is_empty()).collect();
        let text = if entries.is_empty() {
            [&self.exception, &self.message, &self.error_description, &self.error]
                .into_iter()
                .find_map(|text| text.clone())
                .unwrap_or_default()
        } else {
            entries.join("; ")
        };
        text.chars().take(400).collect()
    }
}

/// The fault that an answer stands for; `None` for a success (whose body may still be a refusal: [`refusal`]).
pub fn classify(answer: &Answer, effect: Effect, transient_texts: &[String]) -> Option<Fault> {
    if answer.status.is_success() {
        return None;
    }
    let refused = answer.text().ok().and_then(|text| Refused::read(&text));
    let status = answer.status.as_u16();
    let detail = match &refused {
        Some(refused) => format!("{}: LOGO refused with status {status}: {}", answer.call, refused.summary()),
        None => format!("{}: status {status}", answer.call),
    };
    if let Some(refused) = &refused {
        let by_body = match status {
            400 | 500 => refusal(refused, transient_texts, &detail),
            _ => None,
        };
        if by_body.is_some() {
            return by_body;
        }
    }
    match status {
        403 => Some(Fault::Contract { detail }),
        _ => by_status(answer.status, answer.retry_after, effect, detail),
    }
}

/// How the refusal of a date ends: that of one document, or everything is refused since a year has ended.
pub const OUTSIDE: &str = "(the period is closed or does not cover the date)";

/// The class of a refusal by what it says, whatever its status. `None`: it says nothing that decides.
pub fn refusal(refused: &Refused, transient_texts: &[String], detail: &str) -> Option<Fault> {
    let detail = detail.to_owned();
    let has = |key: &str| refused.entries().any(|(found, _)| found.trim_end_matches(':') == key);
    if has("LoginError") {
        return Some(Fault::Unauthenticated { detail });
    }
    // Seats are taken by people and come free again.
    if refused.texts().any(|text| names_code(text, "93")) {
        return Some(Fault::Transient { detail });
    }
    if refused.texts().any(|text| names_code(text, "13")) {
        return Some(Fault::Contract { detail: format!("{detail} (LOGO reports a missing licence)") });
    }
    if has("202") || refused.texts().any(outside_the_period) {
        return Some(Fault::Contract { detail: format!("{detail} {OUTSIDE}") });
    }
    let texts: Vec<String> = transient_texts.iter().map(|text| fold(text)).collect();
    if refused.texts().map(fold).any(|text| texts.iter().any(|wanted| !wanted.is_empty() && text.contains(wanted))) {
        return Some(Fault::Transient { detail });
    }
    let permanent = |reason: &str, field: Option<&str>| {
        Some(Fault::Permanent(Refusal {
            reason: reason.to_owned(),
            field: field.map(str::to_owned),
            value: None,
            detail: detail.clone(),
        }))
    };
    if has("207") {
        return permanent("sql_text", None);
    }
    for (key, text) in refused.entries() {
        if key.starts_with("ValError") {
            let reason = if text.trim_end().ends_with("[6]") { "unknown_code" } else { "field_refused" };
            return permanent(reason, field_name(text));
        }
        if key.starts_with('_') && key.ends_with(".String") {
            return permanent("too_long_or_wrong_type", Some(key));
        }
    }
    if refused.entries().any(|(key, text)| key == "DBError" && text.contains("23000")) {
        return permanent("constraint", None);
    }
    match refused.model_state {
        Some(_) => permanent("refused", None),
        None => None,
    }
}

/// Whether a text names a COM error number such as −93, and not an article that ends in it.
fn names_code(text: &str, code: &str) -> bool {
    ["-", "\u{2212}"].into_iter().any(|minus| {
        let wanted = format!("{minus}{code}");
        text.match_indices(&wanted).any(|(at, found)| {
            let before = text[..at].chars().next_back();
            let after = text[at + found.len()..].chars().next();
            !before.is_some_and(|character| character.is_alphanumeric() || character == '-')
                && !after.is_some_and(|character| character.is_alphanumeric() || character == '-')
        })
    })
}

fn outside_the_period(text: &str) -> bool {
    let folded = fold(text);
    text.trim_end().ends_with("[202]") || folded.contains("mali yil") || folded.contains("fiscal year")
}

/// The field that a validation text begins with.
fn field_name(text: &str) -> Option<&str> {
    let name = text.split_whitespace().next()?;
    let is_name = name.len() > 2
        && name.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_');
    is_name.then_some(name)
}

/// For comparing words only: lower case, with every i the same.
fn fold(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .filter(|letter| *letter != '\u{307}')
        .map(|letter| if letter == 'ı' { 'i' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use kopru_sdk::outbound::StatusCode;
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            content_type: Some("application/json; charset=utf-8".to_owned()),
            retry_after: None,
            body: body.to_owned().into(),
            call: "GET /api/v1/items at logo.local".to_owned(),
        }
    }

    fn class(status: u16, body: &str) -> &'static str {
        let texts = ["kullanılıyor", "lock"].map(str::to_owned);
        classify(&answer(status, body), Effect::Read, &texts).map_or("ok", |fault| fault.class())
    }

    fn state(entries: Value) -> String {
        json!({"Message": "The request is invalid.", "ModelState": entries}).to_string()
    }

    #[test]
    fn model_states_have_classes() {
        let invalid = state(json!({"LOError:": ["Cari hesap kaydı bulunamadı."],
            "ValError0": ["ARP_CODE bulunamadı. [6]"], "ValError1": ["MASTER_CODE bulunamadı. [6]"], "DBError": ["23000"]}));
        let Some(Fault::Permanent(refusal)) = classify(&answer(400, &invalid), Effect::Change, &[]) else {
            panic!("not permanent");
        };
        assert_eq!((refusal.reason.as_str(), refusal.field.as_deref()), ("unknown_code", Some("ARP_CODE")));
        assert!(refusal.detail.contains("MASTER_CODE bulunamadı."), "{}", refusal.detail);

        for (entries, expected) in [
            (json!({"LoginError": ["Oturum bulunamadı."]}), "unauthenticated"),
            (json!({"LOError:": ["Terminal sayısı aşıldı (-93)"]}), "transient"),
            (json!({"LOError:": ["Hata: −13"]}), "contract"),
            (json!({"LOError:": ["KMR-93 kodu bulunamadı"]}), "permanent"),
            (json!({"ValError0": ["DATE mali yıl dışında. [202]"]}), "contract"),
            (json!({"202": ["tarih"]}), "contract"),
            (json!({"LOError:": ["KAYIT BAŞKA BİR KULLANICI TARAFINDAN KULLANILIYOR"]}), "transient"),
            (json!({"OtherError": ["Lock request time out period exceeded"]}), "transient"),
            (json!({"OtherError": ["bilinmeyen"]}), "permanent"),
            (json!({"_genExp4.String": ["çok uzun"]}), "permanent"),
            (json!({"DBError": "23000"}), "permanent"),
            (json!({"207": ["Invalid column name"]}), "permanent"),
        ] {
            assert_eq!(class(400, &state(entries.clone())), expected, "{entries}");
        }
    }

    #[test]
    fn reasons_and_fields_are_named() {
        for (entries, reason, field) in [
            (json!({"_iDoCode.String": ["x"]}), "too_long_or_wrong_type", Some("_iDoCode.String")),
            (json!({"DBError": ["23000"]}), "constraint", None),
            (json!({"207": ["x"]}), "sql_text", None),
            (json!({"ValError0": ["UNIT_CODE geçersiz"]}), "field_refused", Some("UNIT_CODE")),
            (json!({"LOError:": ["olmadı"]}), "refused", None),
        ] {
            let Some(Fault::Permanent(refusal)) = classify(&answer(400, &state(entries)), Effect::Read, &[]) else {
                panic!("not permanent: {reason}");
            };
            assert_eq!((refusal.reason.as_str(), refusal.field.as_deref()), (reason, field));
        }
    }

    #[test]
    fn bodies_that_say_nothing_are_classed_by_status() {
        assert_eq!(class(401, r#"{"Message":"Authorization has been denied for this request."}"#), "unauthenticated");
        assert_eq!(class(403, "<html>"), "contract");
        assert_eq!(class(404, ""), "not_found");
        assert_eq!(class(429, ""), "rate_limited");
        assert_eq!(
            class(500, r#"{"Message":"An error has occurred.","ExceptionMessage":"Object reference"}"#),
            "transient"
        );
        assert_eq!(class(500, r#"{"Message":"x","ExceptionMessage":"LObjects: -13"}"#), "contract");
        assert_eq!(class(502, "<html>bad gateway"), "transient");
        assert_eq!(class(400, "\u{0}garbage"), "permanent");
        assert_eq!(class(200, "{}"), "ok");
    }

    #[test]
    fn a_change_that_ended_in_500_may_have_been_done() {
        let fault = classify(&answer(500, r#"{"Message":"x"}"#), Effect::Change, &[]).unwrap();
        assert_eq!(fault.class(), "unknown_outcome");
    }
}

//! Fault rules: `[{match: {system?, method?, path?, nth?, every?}, do, value?, times?}]`, read strictly.
//!
//! Every rule counts the requests that match it. A rule that is due (its `nth`, each of its `every`, or any) fires, at
//! most `times` times. Delays add up, sessions expire first; of several due rules that decide the answer the first one
//! does, and the others keep their times.

use std::{fmt, time::Duration};

use serde_json::{Map, Value};

use super::mail;
use crate::settings::unknown_key;

/// What a rule does.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The system takes this much longer; `value` in milliseconds.
    Latency(Duration),
    /// Answered with this status in the system's place; nothing is done. `value`: the code, or
    /// `{code, retryAfter?, body?}`.
    Status { code: u16, retry_after: Option<u64>, body: Option<Value> },
    /// The connection is closed before the system sees the request.
    CutBefore,
    /// The system does the work, then the connection is closed without an answer.
    CutAfter,
    /// The connection is closed at once, and the system does the work `value` milliseconds later (2,000).
    LateCommit(Duration),
    /// Accepted, never worked on, never answered.
    Hang,
    /// Worked on; the answer promises its full length and breaks off in the middle.
    Truncate,
    /// Status 200 and `value` (512) bytes of noise in the system's place; nothing is done.
    Garbage(u64),
    /// Status 200 and a page of HTML in the system's place; nothing is done.
    Html,
    /// Every session of the system is forgotten; then the request goes on.
    ExpireToken,
    /// Worked on; the answer's text is in windows-1254 and says that it is UTF-8.
    WrongCharset,
}

impl Effect {
    const NAMES: [&'static str; 11] = [
        "latency",
        "status",
        "cut_before",
        "cut_after",
        "late_commit",
        "hang",
        "truncate",
        "garbage",
        "html",
        "expire_token",
        "wrong_charset",
    ];

    /// Whether it decides what the caller gets, so that only one of its sort can act on a request.
    const fn decides(&self) -> bool {
        !matches!(self, Effect::Latency(_) | Effect::ExpireToken)
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Match {
    system: Option<String>,
    method: Option<String>,
    path: Option<String>,
    nth: Option<u64>,
    every: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
struct Rule {
    matches: Match,
    effect: Effect,
    times: Option<u64>,
    /// As it was given, for `GET /_sandbox/faults`.
    given: Value,
    seen: u64,
    fired: u64,
}

/// The rules in force and their counters.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    rules: Vec<Rule>,
}

/// Everything that is wrong with a list of rules, each with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BadFaults(pub Vec<String>);

impl fmt::Display for BadFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fault rules: {}", self.0.join("; "))
    }
}

/// What is to be done with one request.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Verdict {
    pub latency: Duration,
    pub expire_tokens: bool,
    pub effect: Option<Effect>,
}

/// A request as rules see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub system: &'a str,
    pub method: &'a str,
    /// With the system's prefix, and below it: a rule may name either.
    pub full_path: &'a str,
    pub path: &'a str,
}

impl Faults {
    /// Reads rules from JSON text; `systems` are the kinds that a rule may name.
    pub fn parse(text: &[u8], systems: &[&str]) -> Result<Faults, BadFaults> {
        let value: Value =
            serde_json::from_slice(text).map_err(|error| BadFaults(vec![format!("not valid JSON: {error}")]))?;
        Faults::from_value(&value, systems)
    }

    pub fn from_value(value: &Value, systems: &[&str]) -> Result<Faults, BadFaults> {
        let Value::Array(list) = value else {
            return Err(BadFaults(vec!["must be a list of rules: [{\"match\": {…}, \"do\": …}]".to_owned()]));
        };
        let mut problems = Vec::new();
        let mut rules = Vec::new();
        for (n, given) in list.iter().enumerate() {
            let mut reader = Reader { place: format!("rule {}", n + 1), problems: &mut problems };
            if let Some(rule) = reader.rule(given, systems) {
                rules.push(rule);
            }
        }
        if problems.is_empty() { Ok(Faults { rules }) } else { Err(BadFaults(problems)) }
    }

    /// The rules as they were given.
    pub fn to_value(&self) -> Value {
        self.rules.iter().map(|rule| rule.given.clone()).collect()
    }

    /// For each rule: how many requests matched and how often it fired.
    pub fn counters(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.rules.iter().map(|rule| (rule.seen, rule.fired))
    }

    pub(super) fn judge(&mut self, request: Seen<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for rule in self.rules.iter_mut().filter(|rule| rule.matches.covers(request)) {
            rule.seen += 1;
            let due = match (rule.matches.nth, rule.matches.every) {
                (Some(nth), _) => rule.seen == nth,
                (None, Some(every)) => rule.seen.is_multiple_of(every),
                (None, None) => true,
            };
            let spent = rule.times.is_some_and(|times| rule.fired >= times);
            if !due || spent || (rule.effect.decides() && verdict.effect.is_some()) {
                continue;
            }
            rule.fired += 1;
            match &rule.effect {
                Effect::Latency(wait) => verdict.latency += *wait,
                Effect::ExpireToken => verdict.expire_tokens = true,
                deciding => verdict.effect = Some(deciding.clone()),
            }
        }
        verdict
    }
}

impl Match {
    fn covers(&self, request: Seen<'_>) -> bool {
        self.system.as_deref().is_none_or(|system| system == request.system)
            && self.method.as_deref().is_none_or(|method| method.eq_ignore_ascii_case(request.method))
            && self
                .path
                .as_deref()
                .is_none_or(|path| path_matches(path, request.full_path) || path_matches(path, request.path))
    }
}

/// Without `*` a prefix, with it a pattern of the whole path (`*` stands for anything, slashes too). Case does not
/// count: some systems take paths in any case.
fn path_matches(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.to_ascii_lowercase(), path.to_ascii_lowercase());
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| path.strip_prefix(first)) else { return false };
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

struct Reader<'a> {
    place: String,
    problems: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn problem(&mut self, key: &str, text: impl fmt::Display) {
        let place = &self.place;
        self.problems.push(if key.is_empty() { format!("{place}: {text}") } else { format!("{place}, {key}: {text}") });
    }

    /// `None` only after a problem was noted.
    fn rule(&mut self, given: &Value, systems: &[&str]) -> Option<Rule> {
        let Value::Object(map) = given else {
            self.problem("", "must be an object");
            return None;
        };
        self.keys(map, "", &["match", "do", "value", "times"]);
        let matches = match map.get("match") {
            None => Match::default(),
            Some(Value::Object(map)) => self.matches(map, systems),
            Some(_) => {
                self.problem("match", "must be an object");
                Match::default()
            }
        };
        let times = self.positive(map, "", "times");
        let effect = match map.get("do") {
            Some(Value::String(name)) => self.effect(name, map.get("value"))?,
            _ => {
                self.problem("do", format_args!("must be one of {}", Effect::NAMES.join(", ")));
                return None;
            }
        };
        Some(Rule { matches, effect, times, given: given.clone(), seen: 0, fired: 0 })
    }

    fn matches(&mut self, map: &Map<String, Value>, systems: &[&str]) -> Match {
        self.keys(map, "match.", &["system", "method", "path", "nth", "every"]);
        let system = self.text(map, "system");
        if let Some(system) = system.as_deref().filter(|system| !systems.contains(system)) {
            self.problem("match.system", format_args!("unknown system `{system}`; running are {}", systems.join(", ")));
        }
        let method = self.text(map, "method");
        const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
        let mail = system.as_deref() == Some(mail::SYSTEM);
        let methods = if mail { mail::VERBS } else { METHODS };
        if let Some(method) = method.as_deref().filter(|given| !methods.iter().any(|m| m.eq_ignore_ascii_case(given))) {
            self.problem("match.method", format_args!("`{method}` is none of {}", methods.join(", ")));
        }
        let path = self.text(map, "path");
        if !mail && path.as_deref().is_some_and(|path| !path.starts_with(['/', '*'])) {
            self.problem("match.path", "must begin with `/` or `*`");
        }
        let nth = self.positive(map, "match.", "nth");
        let every = self.positive(map, "match.", "every");
        if nth.is_some() && every.is_some() {
            self.problem("match", "`nth` and `every` exclude each other");
        }
        Match { system, method, path, nth, every }
    }

    fn effect(&mut self, name: &str, value: Option<&Value>) -> Option<Effect> {
        let effect = match name {
            "latency" => Effect::Latency(Duration::from_millis(self.number(value, None, 600_000)?)),
            "late_commit" => Effect::LateCommit(Duration::from_millis(self.number(value, Some(2_000), 600_000)?)),
            "garbage" => Effect::Garbage(self.number(value, Some(512), 1 << 30)?),
            "status" => return self.status(value),
            "cut_before" => Effect::CutBefore,
            "cut_after" => Effect::CutAfter,
            "hang" => Effect::Hang,
            "truncate" => Effect::Truncate,
            "html" => Effect::Html,
            "expire_token" => Effect::ExpireToken,
            "wrong_charset" => Effect::WrongCharset,
            _ => {
                self.problem("do", format_args!("`{name}` is none of {}", Effect::NAMES.join(", ")));
                return None;
            }
        };
        let takes_value = matches!(effect, Effect::Latency(_) | Effect::LateCommit(_) | Effect::Garbage(_));
        if value.is_some() && !takes_value {
            self.problem("value", format_args!("`{name}` takes none"));
        }
        Some(effect)
    }

    fn status(&mut self, value: Option<&Value>) -> Option<Effect> {
        let code =
            |value: &Value| value.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| (200..600).contains(n));
        match value {
            Some(Value::Object(map)) => {
                self.keys(map, "value.", &["code", "retryAfter", "body"]);
                let Some(code) = map.get("code").and_then(code) else {
                    self.problem("value.code", "must be a status from 200 to 599");
                    return None;
                };
                let retry_after = match map.get("retryAfter") {
                    None => None,
                    Some(wait) => match wait.as_u64() {
                        Some(seconds) => Some(seconds),
                        None => {
                            self.problem("value.retryAfter", "must be a number of seconds");
                            None
                        }
                    },
                };
                Some(Effect::Status { code, retry_after, body: map.get("body").cloned() })
            }
            Some(value) if code(value).is_some() => {
                code(value).map(|code| Effect::Status { code, retry_after: None, body: None })
            }
            _ => {
                self.problem("value", "must be a status from 200 to 599, or {code, retryAfter?, body?}");
                None
            }
        }
    }

    fn number(&mut self, value: Option<&Value>, default: Option<u64>, most: u64) -> Option<u64> {
        match (value, default) {
            (None, Some(default)) => return Some(default),
            (Some(value), _) => {
                if let Some(number) = value.as_u64().filter(|&number| number <= most) {
                    return Some(number);
                }
            }
            (None, None) => {}
        }
        self.problem("value", format_args!("must be a whole number up to {most}"));
        None
    }

    fn positive(&mut self, map: &Map<String, Value>, prefix: &str, key: &str) -> Option<u64> {
        let value = map.get(key)?;
        let number = value.as_u64().filter(|&number| number > 0);
        if number.is_none() {
            self.problem(&format!("{prefix}{key}"), "must be a whole number from 1");
        }
        number
    }

    fn text(&mut self, map: &Map<String, Value>, key: &str) -> Option<String> {
        let value = map.get(key)?;
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            self.problem(&format!("match.{key}"), "must be a text");
        }
        text
    }

    fn keys(&mut self, map: &Map<String, Value>, prefix: &str, known: &[&str]) {
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            self.problem(&format!("{prefix}{key}"), unknown_key(key, known));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen<'a>(method: &'a str, full_path: &'a str) -> Seen<'a> {
        Seen { system: "logo", method, full_path, path: full_path.strip_prefix("/logo").unwrap_or(full_path) }
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        let rules = json!([
            {"match": {"sytem": "logo", "nth": 0}, "do": "hang"},
            {"match": {"system": "mikro", "nth": 1, "every": 2, "path": "api"}, "do": "cut"},
            {"do": "status", "value": 99},
            {"do": "latency"},
            {"do": "html", "value": 3, "time": 1},
            7
        ]);
        let problems = Faults::from_value(&rules, &["logo"]).unwrap_err().0;
        assert_eq!(
            problems,
            [
                "rule 1, match.sytem: unknown key; did you mean `system`?",
                "rule 1, match.nth: must be a whole number from 1",
                "rule 2, match.system: unknown system `mikro`; running are logo",
                "rule 2, match.path: must begin with `/` or `*`",
                "rule 2, match: `nth` and `every` exclude each other",
                "rule 2, do: `cut` is none of latency, status, cut_before, cut_after, late_commit, hang, truncate, \
                 garbage, html, expire_token, wrong_charset",
                "rule 3, value: must be a status from 200 to 599, or {code, retryAfter?, body?}",
                "rule 4, value: must be a whole number up to 600000",
                "rule 5, time: unknown key; did you mean `times`?",
                "rule 5, value: `html` takes none",
                "rule 6: must be an object",
            ]
        );
        assert!(Faults::parse(b"{}", &["logo"]).unwrap_err().to_string().contains("must be a list"));
        assert!(Faults::parse(b"[", &["logo"]).unwrap_err().to_string().contains("not valid JSON"));
    }

    #[test]
    fn nth_every_and_times_count_matching_requests_only() {
        let rules = json!([
            {"match": {"path": "/api/v1/items", "nth": 2}, "do": "hang"},
            {"match": {"method": "post", "every": 2}, "do": "cut_after", "times": 2},
        ]);
        let mut faults = Faults::from_value(&rules, &["logo"]).unwrap();
        let fired = |faults: &mut Faults, method, path| faults.judge(seen(method, path)).effect;
        assert_eq!(fired(&mut faults, "GET", "/logo/api/v1/items"), None);
        assert_eq!(fired(&mut faults, "GET", "/logo/api/v1/Arps"), None);
        assert_eq!(fired(&mut faults, "GET", "/logo/api/v1/ITEMS/3"), Some(Effect::Hang));
        assert_eq!(fired(&mut faults, "GET", "/logo/api/v1/items"), None);
        let posts: Vec<_> = (0..8).map(|_| fired(&mut faults, "POST", "/logo/x").is_some()).collect();
        assert_eq!(posts, [false, true, false, true, false, false, false, false]);
        assert_eq!(faults.counters().collect::<Vec<_>>(), [(3, 1), (8, 2)]);
        assert_eq!(faults.to_value(), rules);
    }

    #[test]
    fn delays_add_up_and_the_first_deciding_rule_wins() {
        let rules = json!([
            {"do": "latency", "value": 5},
            {"do": "html", "times": 1},
            {"do": "garbage", "times": 1},
            {"do": "latency", "value": 7},
            {"do": "expire_token", "times": 1},
        ]);
        let mut faults = Faults::from_value(&rules, &["logo"]).unwrap();
        let first = faults.judge(seen("GET", "/logo/a"));
        assert_eq!(first.latency, Duration::from_millis(12));
        assert!(first.expire_tokens);
        assert_eq!(first.effect, Some(Effect::Html));
        let second = faults.judge(seen("GET", "/logo/a"));
        assert_eq!((second.expire_tokens, second.effect), (false, Some(Effect::Garbage(512))));
    }

    #[test]
    fn a_path_is_a_prefix_or_a_pattern() {
        assert!(path_matches("/api/v1/items", "/api/v1/items/7"));
        assert!(path_matches("*/salesOrders*", "/api/v1/salesorders/7"));
        assert!(path_matches("/api/*/items", "/api/v1/items"));
        assert!(!path_matches("/api/*/items", "/api/v1/items/7"));
        assert!(!path_matches("*/items/*/x", "/api/items"));
        assert!(path_matches("*", ""));
    }
}

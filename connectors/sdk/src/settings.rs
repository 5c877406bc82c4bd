//! A connector instance's own settings: `[connectors.NAME]` without the keys that belong to the hub.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// A text that is never printed: not by `Debug`, not by `config`, not in logs.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The settings of one instance, as JSON, with its name. Keys ending in `_file` were resolved by the configuration.
#[derive(Clone)]
pub struct Settings {
    /// The instance: `logo`, `logo_izmir` …
    pub instance: String,
    pub values: Value,
    /// Where the instance may keep files of its own (export folders), inside the data directory.
    pub dir: PathBuf,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// One wrong setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSetting {
    /// The key below `[connectors.NAME]`.
    pub key: String,
    pub problem: String,
}

/// Everything that is wrong with an instance's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSettings(pub Vec<BadSetting>);

impl fmt::Display for BadSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, bad) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}: {}", bad.key, bad.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for BadSettings {}

/// "unknown key; did you mean `x`?"
pub fn unknown_key(key: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(key, candidate), candidate))
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((distance, candidate)) if distance <= key.len().max(3) / 2 => {
            format!("unknown key; did you mean `{candidate}`?")
        }
        _ => format!("unknown key; known keys are {}", known.join(", ")),
    }
}

impl Settings {
    /// Reads the settings into a struct at once; an unknown key is named together with the nearest of `known`. Where
    /// values have bounds of their own, use [`Settings::reader`].
    pub fn parse<T: DeserializeOwned>(&self, known: &[&str]) -> Result<T, BadSettings> {
        let unknown =
            self.values.as_object().into_iter().flat_map(Map::keys).filter(|key| !known.contains(&key.as_str()));
        let bad: Vec<BadSetting> =
            unknown.map(|key| BadSetting { key: key.clone(), problem: unknown_key(key, known) }).collect();
        if !bad.is_empty() {
            return Err(BadSettings(bad));
        }
        serde_json::from_value(self.values.clone())
            .map_err(|error| BadSettings(vec![BadSetting { key: String::new(), problem: error.to_string() }]))
    }

    /// Reads them key by key, with bounds, gathering everything that is wrong.
    pub fn reader(&self) -> Reader<'_> {
        let mut reader =
            Reader { values: self.values.as_object(), prefix: String::new(), known: Vec::new(), bad: Vec::new() };
        if reader.values.is_none() && !self.values.is_null() {
            reader.refuse("", "must be a table");
        }
        reader
    }
}

/// Reads a block of settings key by key and gathers everything that is wrong with it. What nobody asked for when
/// [`Reader::finish`] is called is an unknown key.
///
/// A value from the environment arrives as text, so numbers and flags are accepted as text too.
#[derive(Debug)]
pub struct Reader<'a> {
    values: Option<&'a Map<String, Value>>,
    prefix: String,
    known: Vec<&'static str>,
    bad: Vec<BadSetting>,
}

impl<'a> Reader<'a> {
    /// Notes that a key is wrong.
    pub fn refuse(&mut self, key: &str, problem: impl Into<String>) {
        self.bad.push(BadSetting { key: format!("{}{key}", self.prefix), problem: problem.into() });
    }

    /// The value as it stands; `None` when absent or null.
    pub fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.values?.get(key).filter(|value| !value.is_null())
    }

    pub fn text(&mut self, key: &'static str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => {
                self.refuse(key, "must be a text");
                None
            }
        }
    }

    /// A text that must be there and not be empty. Returns an empty one, and notes it, when it is not.
    pub fn required(&mut self, key: &'static str) -> String {
        let before = self.bad.len();
        let text = self.text(key).unwrap_or_default();
        if text.trim().is_empty() && self.bad.len() == before {
            self.refuse(key, "is required");
        }
        text.trim().to_owned()
    }

    pub fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.text(key).map(Secret::new)
    }

    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        match self.value(key) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) if text == "true" => true,
            Some(Value::String(text)) if text == "false" => false,
            Some(_) => {
                self.refuse(key, "must be true or false");
                default
            }
        }
    }

    /// A whole number within bounds; `None` when absent or, noted, not one.
    pub fn number<T>(&mut self, key: &'static str, bounds: std::ops::RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        let text = match self.value(key)? {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.trim().to_owned(),
            _ => String::new(),
        };
        match text.parse::<T>() {
            Ok(number) if bounds.contains(&number) => Some(number),
            _ => {
                self.refuse(key, format!("must be a number from {} to {}", bounds.start(), bounds.end()));
                None
            }
        }
    }

    /// One of the words of a list; the first is the default.
    pub fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> T {
        let default = words[0].1;
        let Some(value) = self.value(key) else { return default };
        match words.iter().find(|(word, _)| value.as_str() == Some(word)) {
            Some((_, choice)) => *choice,
            None => {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                self.refuse(key, format!("must be one of {}", words.join(", ")));
                default
            }
        }
    }

    /// Seconds as a number, or a text with a unit: `500ms`, `60 s`, `10 min`, `2 h`.
    pub fn duration(&mut self, key: &'static str, default: Duration) -> Duration {
        let Some(value) = self.value(key) else { return default };
        let parsed = match value {
            Value::Number(number) => duration(&number.to_string()),
            Value::String(text) => duration(text),
            _ => None,
        };
        match parsed {
            Some(duration) => duration,
            None => {
                self.refuse(key, "must be a duration: seconds as a number, or a text such as \"60 s\" or \"10 min\"");
                default
            }
        }
    }

    /// A list of texts; a single text stands for a list of one.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let texts = match self.value(key)? {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(values) => values.iter().map(|value| value.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        if texts.is_none() {
            self.refuse(key, "must be a list of texts");
        }
        texts
    }

    /// A block below this one, read by `read`; absent reads as empty.
    pub fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Reader<'a>) -> T) -> T {
        let value = self.value(key);
        let values = value.and_then(Value::as_object);
        if value.is_some() && values.is_none() {
            self.refuse(key, "must be a table");
        }
        let mut inner = Reader { values, prefix: format!("{}{key}.", self.prefix), known: Vec::new(), bad: Vec::new() };
        let result = read(&mut inner);
        self.bad.append(&mut inner.problems());
        result
    }

    /// A key that is set elsewhere: not known here, and refused with the place where it belongs.
    pub fn elsewhere(&mut self, key: &'static str, place: &str) {
        if self.values.is_some_and(|values| values.contains_key(key)) {
            self.known.push(key);
            self.refuse(key, place);
        }
    }

    fn problems(mut self) -> Vec<BadSetting> {
        let unknown: Vec<String> = self
            .values
            .into_iter()
            .flat_map(Map::keys)
            .filter(|key| !self.known.contains(&key.as_str()))
            .cloned()
            .collect();
        for key in unknown {
            let problem = unknown_key(&key, &self.known);
            self.refuse(&key, problem);
        }
        self.bad
    }

    /// All that was wrong, unknown keys included.
    pub fn finish(self) -> Result<(), BadSettings> {
        let bad = self.problems();
        if bad.is_empty() { Ok(()) } else { Err(BadSettings(bad)) }
    }
}

/// `7`, `60 s`, `10 min`, `36 h` or `5 days`.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    match text[digits..].trim() {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" | "sec" => Some(Duration::from_secs(number)),
        "m" | "min" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        "d" | "day" | "days" => number.checked_mul(24 * 3600).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(values: Value) -> Settings {
        Settings { instance: "test".to_owned(), values, dir: PathBuf::new() }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let settings =
            settings(json!({"firm": 0, "tls": "maybe", "pasword": "x", "timeouts": {"raed": 3, "read": "soon"}}));
        let mut reader = settings.reader();
        reader.required("base_url");
        reader.number("firm", 1u16..=999);
        reader.choice("tls", &[("verify", 1), ("pin", 2)]);
        reader.secret("password");
        reader.table("timeouts", |timeouts| timeouts.duration("read", Duration::ZERO));
        let text = reader.finish().unwrap_err().to_string();
        assert_eq!(
            text,
            "base_url: is required; firm: must be a number from 1 to 999; tls: must be one of verify, pin; \
             timeouts.read: must be a duration: seconds as a number, or a text such as \"60 s\" or \"10 min\"; \
             timeouts.raed: unknown key; did you mean `read`?; pasword: unknown key; did you mean `password`?"
        );
    }

    #[test]
    fn values_of_the_environment_are_texts() {
        let settings = settings(json!({"firm": "7", "on": "false", "wait": "10 min", "codes": "lock"}));
        let mut reader = settings.reader();
        assert_eq!(reader.number("firm", 1u16..=999), Some(7));
        assert!(!reader.flag("on", true));
        assert_eq!(reader.duration("wait", Duration::ZERO), Duration::from_secs(600));
        assert_eq!(reader.texts("codes"), Some(vec!["lock".to_owned()]));
        reader.finish().unwrap();
    }
}

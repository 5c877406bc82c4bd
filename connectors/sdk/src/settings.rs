//! A connector instance's own settings: `[connectors.NAME]` without the keys that belong to the hub.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, de::DeserializeOwned};

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
    pub values: serde_json::Value,
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

impl Settings {
    /// Reads the settings into the connector's own struct (which says `#[serde(deny_unknown_fields)]`); an unknown key
    /// is named together with the nearest of `known`.
    pub fn parse<T: DeserializeOwned>(&self, known: &[&str]) -> Result<T, BadSettings> {
        let mut bad = Vec::new();
        if let Some(map) = self.values.as_object() {
            for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
                bad.push(BadSetting { key: key.clone(), problem: unknown_key(key, known) });
            }
        }
        if !bad.is_empty() {
            return Err(BadSettings(bad));
        }
        serde_json::from_value(self.values.clone())
            .map_err(|error| BadSettings(vec![BadSetting { key: String::new(), problem: error.to_string() }]))
    }
}

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

//! The effective configuration, for people: `kopru config`. Secrets are masked.

use serde_json::{Map, Value as Json, json};

use super::model::{Config, ConnectorConfig, FilesConfig, StreamConfig};

const MASK: &str = "***";

/// Whether a key's name says that its value must not be shown.
pub(super) fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "passwd", "secret", "token"].iter().any(|word| key.contains(word))
        || key.split('_').any(|word| word == "key" || word == "keys" || word == "apikey")
}

impl Config {
    /// Every key in force, secrets masked. What is left out is decided by a connector.
    pub fn masked(&self) -> Json {
        let url = self.database.url.as_ref().map_or_else(String::new, |url| mask_url(url.expose()));
        let connectors: Map<String, Json> =
            self.connectors.iter().map(|(name, connector)| (name.clone(), show_connector(connector))).collect();
        let files: Map<String, Json> =
            self.files.iter().map(|(name, folder)| (name.clone(), show_folder(folder))).collect();
        json!({
            "http": {
                "listen": self.http.listen,
                "ops_listen": self.http.ops_listen.map_or_else(String::new, |address| address.to_string()),
                "body_limit_bytes": self.http.body_limit_bytes,
                "trusted_proxies": self.http.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "public_url": self.http.public_url,
            },
            "rate_limit": {
                "enabled": self.rate_limit.enabled,
                "per_user_per_minute": self.rate_limit.per_user_per_minute,
                "per_api_key_per_minute": self.rate_limit.per_api_key_per_minute,
                "per_ip_per_minute": self.rate_limit.per_ip_per_minute,
            },
            "catalogue": {
                "cache_mb": self.catalogue.cache_mb,
            },
            "auth": {
                "master_key_file": self.auth.master_key_file.clone().unwrap_or_default(),
                "signing_key_file": self.auth.signing_key_file.clone().unwrap_or_default(),
            },
            "mail": {
                "host": self.mail.host,
                "port": self.mail.port,
                "tls": self.mail.tls,
                "user": self.mail.user,
                "password": if self.mail.password.is_empty() { "" } else { MASK },
                "from": self.mail.from,
                "timeout_secs": self.mail.timeout_secs,
            },
            "database": {
                "url": url,
                "auto_migrate": self.database.auto_migrate,
                "max_connections": self.database.max_connections,
            },
            "data": { "dir": self.data.dir },
            "mappings": { "dir": self.mappings.dir },
            "hub": {
                "timezone": self.hub.timezone.name(),
                "full_at": self.hub.full_at,
                "workers": self.hub.workers,
                "recall_mb": self.hub.recall_mb,
            },
            "orders": {
                "approve_above": self.orders.approve_above.map_or_else(String::new, |amount| amount.to_string()),
                "approve_first_orders": self.orders.approve_first_orders,
                "over_limit": self.orders.over_limit,
                "overdue": self.orders.overdue,
                "unpaid_minutes": self.orders.unpaid_minutes,
                "undecided_days": self.orders.undecided_days,
                "cart_days": self.orders.cart_days,
                "allow_zero_price": self.orders.allow_zero_price,
            },
            "retry": {
                "delays_secs": self.retry.delays_secs,
                "jitter": self.retry.jitter,
                "breaker_threshold": self.retry.breaker_threshold,
                "probe_secs": self.retry.probe_secs,
                "lease_secs": self.retry.lease_secs,
                "heartbeat_secs": self.retry.heartbeat_secs,
                "max_claims": self.retry.max_claims,
                "defer_for_secs": self.retry.defer_for_secs,
            },
            "webhooks": {
                "allow": self.webhooks.allow.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "timeout_secs": self.webhooks.timeout_secs,
                "at_once": self.webhooks.at_once,
                "rate_per_second": self.webhooks.rate_per_second,
                "give_up_after": format!("{} s", self.webhooks.give_up_after.as_secs()),
                "overlap": format!("{} s", self.webhooks.overlap.as_secs()),
            },
            "retention": {
                "payload_days": self.retention.payload_days,
                "history_days": self.retention.history_days,
                "audit_years": self.retention.audit_years,
            },
            "log": { "level": self.log.level, "format": self.log.format },
            "connectors": connectors,
            "files": files,
        })
    }

    /// [`Config::masked`] as TOML.
    pub fn masked_toml(&self) -> String {
        let table = match toml_value(self.masked()) {
            Some(toml::Value::Table(table)) => table,
            _ => toml::Table::new(),
        };
        toml::to_string_pretty(&table).unwrap_or_default()
    }
}

/// Settings as the text of a configuration file.
pub fn toml_of(settings: Json) -> String {
    let table = toml_value(settings).unwrap_or_else(|| toml::Table::new().into());
    toml::to_string_pretty(&table).unwrap_or_default()
}

fn show_connector(connector: &ConnectorConfig) -> Json {
    let mut shown = Map::new();
    shown.insert("kind".to_owned(), json!(connector.kind));
    shown.insert("enabled".to_owned(), json!(connector.enabled));
    if let Some(exclusive) = connector.exclusive {
        shown.insert("exclusive".to_owned(), json!(exclusive));
    }
    if let Some(master) = &connector.master {
        shown.insert("master".to_owned(), json!(master));
    }
    if let Some(send) = &connector.send {
        shown.insert("send".to_owned(), json!(send));
    }
    if let Json::Object(settings) = &connector.settings {
        for (key, value) in settings {
            // A value that came out of a file of its own was meant to be kept from sight, whatever its key.
            shown.insert(key.clone(), if connector.secrets.contains(key) { json!(MASK) } else { mask(key, value) });
        }
    }
    let streams: Map<String, Json> =
        connector.streams.iter().map(|(name, stream)| (name.clone(), show_stream(stream))).collect();
    if !streams.is_empty() {
        shown.insert("streams".to_owned(), Json::Object(streams));
    }
    Json::Object(shown)
}

fn show_stream(stream: &StreamConfig) -> Json {
    let mut shown = Map::new();
    shown.insert("enabled".to_owned(), json!(stream.enabled));
    if let Some(every_secs) = stream.every_secs {
        shown.insert("every_secs".to_owned(), json!(every_secs));
    }
    if let Some(full_at) = &stream.full_at {
        shown.insert("full_at".to_owned(), json!(full_at));
    }
    if let Some(mapping) = &stream.mapping {
        shown.insert("mapping".to_owned(), json!(mapping));
    }
    if let Some(sweep) = &stream.sweep {
        shown.insert("sweep".to_owned(), json!(sweep));
    }
    if let Some(percent) = stream.sweep_guard_percent {
        shown.insert("sweep_guard_percent".to_owned(), json!(percent));
    }
    Json::Object(shown)
}

fn show_folder(folder: &FilesConfig) -> Json {
    let takes: Vec<Json> = folder
        .takes
        .iter()
        .map(|take| {
            // What is not said is left out, as in the file.
            let mut shown = Map::new();
            shown.insert("pattern".to_owned(), json!(take.pattern));
            let said = [
                ("mapping", take.mapping.as_ref().map(|mapping| json!(mapping))),
                ("format", take.format.map(|format| json!(format))),
                ("encoding", take.encoding.as_ref().map(|encoding| json!(encoding))),
            ];
            shown.extend(said.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
            Json::Object(shown)
        })
        .collect();
    json!({
        "enabled": folder.enabled,
        "dir": folder.dir,
        "instance": folder.instance,
        "settle_secs": folder.settle_secs,
        "every_secs": folder.every_secs,
        "max_bytes": folder.max_bytes,
        "roots": folder.roots,
        "take": takes,
    })
}

fn mask(key: &str, value: &Json) -> Json {
    match value {
        Json::Object(inner) => Json::Object(inner.iter().map(|(key, value)| (key.clone(), mask(key, value))).collect()),
        Json::String(text) if text.is_empty() => json!(""),
        Json::Bool(_) | Json::Null => value.clone(),
        _ if is_secret_key(key) => json!(MASK),
        Json::Array(items) => Json::Array(items.iter().map(|item| mask(key, item)).collect()),
        Json::String(text) => json!(mask_url(text)),
        Json::Number(_) => value.clone(),
    }
}

/// Hides the password of an address, wherever one may stand: `postgres://kopru:***@db/kopru`.
fn mask_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:{MASK}@{host}"),
            None => format!("{user}@{host}"),
        },
        None => authority.to_owned(),
    };
    format!("{scheme}://{authority}{}", mask_query(tail))
}

fn mask_query(tail: &str) -> String {
    let Some((path, query)) = tail.split_once('?') else { return tail.to_owned() };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((key, _)) if is_secret_key(key) => format!("{key}={MASK}"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// `None` for JSON's null, which TOML does not have.
fn toml_value(value: Json) -> Option<toml::Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(flag) => toml::Value::Boolean(flag),
        Json::String(text) => toml::Value::String(text),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => toml::Value::Integer(whole),
            None => toml::Value::Float(number.as_f64()?),
        },
        Json::Array(items) => toml::Value::Array(items.into_iter().filter_map(toml_value).collect()),
        Json::Object(map) => {
            toml::Value::Table(map.into_iter().filter_map(|(key, value)| Some((key, toml_value(value)?))).collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_addresses_are_hidden() {
        assert_eq!(mask_url("postgres://u:p@ss@h:1/d?x=1"), "postgres://u:***@h:1/d?x=1");
        assert_eq!(mask_url("postgres://h/d?user=a&password=b"), "postgres://h/d?user=a&password=***");
        assert_eq!(mask_url("http://logo.local:32001"), "http://logo.local:32001");
    }

    #[test]
    fn keys_that_name_secrets() {
        for key in ["password", "client_secret", "api_key", "accessToken", "KEY"] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in ["keyset_rows", "monkey", "base_url", "username"] {
            assert!(!is_secret_key(key), "{key}");
        }
    }
}

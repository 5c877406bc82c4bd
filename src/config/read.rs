//! From the merged tree to the typed configuration: types, ranges and unknown keys, all findings at once.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use chrono::NaiveTime;
use ipnet::IpNet;
use kopru_sdk::{outbound::Allowed, settings::unknown_key};
use rust_decimal::Decimal;
use tracing_subscriber::EnvFilter;

use super::{
    connectors, files,
    model::{
        AuthConfig, CatalogueConfig, Config, ConnectorConfig, DataConfig, DatabaseConfig, HttpConfig, HubConfig,
        LogConfig, MailConfig, MappingsConfig, OrdersConfig, RateLimitConfig, RetentionConfig, RetryConfig,
        WebhooksConfig,
    },
    problem::Problem,
    section::{Section, secret},
    tree::Table,
};

const SECTIONS: [&str; 16] = [
    "http",
    "rate_limit",
    "auth",
    "catalogue",
    "mail",
    "database",
    "data",
    "mappings",
    "hub",
    "orders",
    "retry",
    "webhooks",
    "retention",
    "log",
    "connectors",
    "files",
];

/// `Err` only when something was reported: then the connectors are all that is known.
pub(super) fn config(
    mut tree: Table,
    problems: &mut Vec<Problem>,
) -> Result<Config, BTreeMap<String, ConnectorConfig>> {
    let http = http(Section::of(&mut tree, "http", problems));
    let rate_limit = rate_limit(Section::of(&mut tree, "rate_limit", problems));
    let auth = auth(Section::of(&mut tree, "auth", problems));
    let catalogue = catalogue(Section::of(&mut tree, "catalogue", problems));
    let mail = mail(Section::of(&mut tree, "mail", problems));
    let database = database(Section::of(&mut tree, "database", problems));
    let data = data(Section::of(&mut tree, "data", problems));
    let mappings = mappings(Section::of(&mut tree, "mappings", problems));
    let hub = hub(Section::of(&mut tree, "hub", problems));
    let orders = orders(Section::of(&mut tree, "orders", problems));
    let retry = retry(Section::of(&mut tree, "retry", problems));
    let retention = retention(Section::of(&mut tree, "retention", problems));
    let log = log(Section::of(&mut tree, "log", problems));
    let connectors = connectors::read(tree.remove("connectors"), problems);
    let files = files::read(tree.remove("files"), problems);
    let webhooks = webhooks(Section::of(&mut tree, "webhooks", problems));
    for (key, node) in tree {
        let text = unknown_key(&key, &SECTIONS).replacen("key", "section", 1);
        problems.push(Problem { origin: Some(node.origin), key, text });
    }
    match (
        http, rate_limit, auth, catalogue, mail, database, data, mappings, hub, orders, retry, webhooks, retention, log,
    ) {
        (
            Some(http),
            Some(rate_limit),
            Some(auth),
            Some(catalogue),
            Some(mail),
            Some(database),
            Some(data),
            Some(mappings),
            Some(hub),
            Some(orders),
            Some(retry),
            Some(webhooks),
            Some(retention),
            Some(log),
        ) => Ok(Config {
            http,
            rate_limit,
            auth,
            catalogue,
            mail,
            database,
            data,
            mappings,
            hub,
            orders,
            retry,
            webhooks,
            retention,
            log,
            connectors,
            files,
        }),
        _ => Err(connectors),
    }
}

fn http(mut section: Section<'_>) -> Option<HttpConfig> {
    let address = |text: &str| text.parse().map_err(|_| format!("`{text}` is not ADDRESS:PORT, as in 127.0.0.1:8080"));
    let listen = section.parsed("listen", address);
    let ops_listen = section.parsed("ops_listen", address);
    let body_limit_bytes = section.value("body_limit_bytes");
    let trusted_proxies = networks(&mut section, "trusted_proxies");
    let public_url: Option<String> = section.value("public_url");
    let web = |url: &String| url.is_empty() || url.starts_with("https://") || url.starts_with("http://");
    section.require("public_url", public_url.as_ref().is_none_or(web), "must begin with https:// (or http://)");
    if listen == Some(None) {
        section.wrong("listen", "must be ADDRESS:PORT, as in 127.0.0.1:8080");
    }
    section.finish();
    Some(HttpConfig {
        listen: listen??,
        ops_listen: ops_listen?,
        body_limit_bytes: body_limit_bytes?,
        trusted_proxies: trusted_proxies?,
        public_url: public_url?,
    })
}

fn catalogue(mut section: Section<'_>) -> Option<CatalogueConfig> {
    let cache_mb = megabytes(&mut section, "cache_mb");
    section.finish();
    Some(CatalogueConfig { cache_mb: cache_mb? })
}

fn megabytes(section: &mut Section<'_>, key: &'static str) -> Option<u64> {
    let size: u64 = section.value(key)?;
    let most = 1024 * 1024;
    if size > most {
        section.wrong(key, format!("is {size}; at most {most} are possible"));
        return None;
    }
    Some(size)
}

/// A list of networks; a bare address is a network of one.
fn networks(section: &mut Section<'_>, key: &'static str) -> Option<Vec<IpNet>> {
    let given: Vec<String> = section.value(key)?;
    let mut read = Vec::new();
    for text in &given {
        let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        match network {
            Some(network) => read.push(network),
            None => {
                section.wrong(key, format!("`{text}` is neither a network nor an address, as in 10.0.0.0/8"));
            }
        }
    }
    (read.len() == given.len()).then_some(read)
}

fn rate_limit(mut section: Section<'_>) -> Option<RateLimitConfig> {
    let enabled = section.value("enabled");
    let mut rate = |key: &'static str| {
        let rate: Option<u32> = section.value(key);
        section.require(key, rate.is_none_or(|n| n > 0), "must be at least 1; `enabled = false` turns every limit off");
        rate
    };
    let per_user_per_minute = rate("per_user_per_minute");
    let per_api_key_per_minute = rate("per_api_key_per_minute");
    let per_ip_per_minute = rate("per_ip_per_minute");
    section.finish();
    Some(RateLimitConfig {
        enabled: enabled?,
        per_user_per_minute: per_user_per_minute?,
        per_api_key_per_minute: per_api_key_per_minute?,
        per_ip_per_minute: per_ip_per_minute?,
    })
}

fn auth(mut section: Section<'_>) -> Option<AuthConfig> {
    let master_key_file: Option<String> = section.value("master_key_file");
    let signing_key_file: Option<String> = section.value("signing_key_file");
    section.finish();
    let path = |text: String| Some(text).filter(|text| !text.trim().is_empty()).map(Into::into);
    Some(AuthConfig { master_key_file: path(master_key_file?), signing_key_file: path(signing_key_file?) })
}

fn mail(mut section: Section<'_>) -> Option<MailConfig> {
    let host: Option<String> = section.value("host");
    let port: Option<u16> = section.value("port");
    let tls = section.value("tls");
    let user: Option<String> = section.value("user");
    let password = secret(&mut section, "password", "password_file");
    let from: Option<String> = section.value("from");
    let timeout_secs: Option<u64> = section.value("timeout_secs");
    let sends = host.as_ref().is_some_and(|host| !host.is_empty());
    let signs = user.as_ref().is_some_and(|user| !user.is_empty());
    section.require("port", port != Some(0), "must be between 1 and 65535");
    section.require("from", !sends || from.as_ref().is_none_or(|from| !from.is_empty()), "must name who sends");
    let secret_given = password.as_ref().is_some_and(|password| !password.is_empty());
    section.require("password", !(sends && signs) || secret_given, "must be given with a user");
    section.require("timeout_secs", timeout_secs.is_none_or(|secs| (1..=600).contains(&secs)), "must be 1 to 600");
    section.finish();
    Some(MailConfig {
        host: host?,
        port: port?,
        tls: tls?,
        user: user?,
        password: password.unwrap_or_default(),
        from: from?,
        timeout_secs: timeout_secs?,
    })
}

fn database(mut section: Section<'_>) -> Option<DatabaseConfig> {
    let url = secret(&mut section, "url", "url_file").filter(|url| !url.expose().trim().is_empty());
    let auto_migrate = section.optional("auto_migrate").unwrap_or(url.is_none());
    let max_connections: Option<u32> = section.value("max_connections");
    if let Some(url) = &url {
        let scheme = url.expose().starts_with("postgres://") || url.expose().starts_with("postgresql://");
        section.require("url", scheme, "must begin with postgres://");
    }
    section.require("max_connections", max_connections.is_none_or(|n| n >= 4), "must be at least 4");
    section.finish();
    Some(DatabaseConfig { url, auto_migrate, max_connections: max_connections? })
}

fn data(mut section: Section<'_>) -> Option<DataConfig> {
    let dir: Option<String> = section.value("dir");
    section.require("dir", dir.as_deref() != Some(""), "must name a directory");
    section.finish();
    Some(DataConfig { dir: dir?.into() })
}

fn mappings(mut section: Section<'_>) -> Option<MappingsConfig> {
    let dir: Option<String> = section.value("dir");
    section.finish();
    Some(MappingsConfig { dir: dir?.into() })
}

fn hub(mut section: Section<'_>) -> Option<HubConfig> {
    let timezone = section.parsed("timezone", |text| {
        text.parse::<chrono_tz::Tz>().map_err(|_| format!("`{text}` is not a time zone, as in Europe/Istanbul"))
    });
    let full_at = section.parsed("full_at", time_of_day);
    let workers: Option<usize> = section.value("workers");
    if timezone == Some(None) {
        section.wrong("timezone", "must name a time zone, as in Europe/Istanbul");
    }
    section.require("workers", workers.is_none_or(|n| (1..=64).contains(&n)), "must be between 1 and 64");
    let recall_mb = megabytes(&mut section, "recall_mb");
    section.finish();
    Some(HubConfig {
        timezone: timezone??,
        full_at: full_at?.unwrap_or_default(),
        workers: workers?,
        recall_mb: recall_mb?,
    })
}

/// Checks an `HH:MM` and gives it back.
pub(super) fn time_of_day(text: &str) -> Result<String, String> {
    match NaiveTime::parse_from_str(text, "%H:%M") {
        Ok(time) => Ok(time.format("%H:%M").to_string()),
        Err(_) => Err(format!("`{text}` is not a time of day, as in 03:30")),
    }
}

fn orders(mut section: Section<'_>) -> Option<OrdersConfig> {
    let approve_above = section.parsed("approve_above", |text| match text.parse::<Decimal>() {
        Ok(amount) if !amount.is_sign_negative() => Ok(amount),
        _ => Err(format!("`{text}` is no amount, as in 250000.00")),
    });
    let approve_first_orders: Option<u32> = section.value("approve_first_orders");
    let over_limit = section.value("over_limit");
    let overdue = section.value("overdue");
    let unpaid_minutes: Option<u32> = section.value("unpaid_minutes");
    let undecided_days: Option<u32> = section.value("undecided_days");
    let cart_days: Option<u32> = section.value("cart_days");
    let allow_zero_price = section.value("allow_zero_price");
    section.require("approve_first_orders", approve_first_orders.is_none_or(|n| n <= 1_000), "must be at most 1000");
    let minutes = unpaid_minutes.is_none_or(|n| (1..=10_080).contains(&n));
    section.require("unpaid_minutes", minutes, "must be between 1 and 10080 (a week)");
    section.require("undecided_days", undecided_days.is_none_or(|n| n <= 365), "must be at most 365");
    section.require("cart_days", cart_days.is_none_or(|n| (1..=365).contains(&n)), "must be between 1 and 365");
    section.finish();
    Some(OrdersConfig {
        approve_above: approve_above?,
        approve_first_orders: approve_first_orders?,
        over_limit: over_limit?,
        overdue: overdue?,
        unpaid_minutes: unpaid_minutes?,
        undecided_days: undecided_days?,
        cart_days: cart_days?,
        allow_zero_price: allow_zero_price?,
    })
}

fn retry(mut section: Section<'_>) -> Option<RetryConfig> {
    let delays_secs: Option<Vec<u64>> = section.value("delays_secs");
    let jitter: Option<f64> = section.value("jitter");
    let breaker_threshold: Option<u32> = section.value("breaker_threshold");
    let probe_secs: Option<u64> = section.value("probe_secs");
    let lease_secs: Option<u64> = section.value("lease_secs");
    let heartbeat_secs: Option<u64> = section.value("heartbeat_secs");
    let max_claims: Option<u32> = section.value("max_claims");
    let defer_for_secs: Option<u64> = section.value("defer_for_secs");
    section.require("delays_secs", delays_secs.as_ref().is_none_or(|d| !d.is_empty()), "must name at least one wait");
    section.require("jitter", jitter.is_none_or(|j| (0.0..=1.0).contains(&j)), "must be between 0 and 1");
    section.require("breaker_threshold", breaker_threshold.is_none_or(|n| n > 0), "must be at least 1");
    section.require("probe_secs", probe_secs.is_none_or(|n| n > 0), "must be at least 1");
    section.require("max_claims", max_claims.is_none_or(|n| n > 0), "must be at least 1");
    if let (Some(lease), Some(heartbeat)) = (lease_secs, heartbeat_secs) {
        let renewed = heartbeat > 0 && heartbeat.saturating_mul(2) <= lease;
        section.require("heartbeat_secs", renewed, "must be at least 1 and at most half of lease_secs");
    }
    section.finish();
    Some(RetryConfig {
        delays_secs: delays_secs?,
        jitter: jitter?,
        breaker_threshold: breaker_threshold?,
        probe_secs: probe_secs?,
        lease_secs: lease_secs?,
        heartbeat_secs: heartbeat_secs?,
        max_claims: max_claims?,
        defer_for_secs: defer_for_secs?,
    })
}

fn webhooks(mut section: Section<'_>) -> Option<WebhooksConfig> {
    let given: Option<Vec<String>> = section.value("allow");
    let mut allow = Vec::new();
    for text in given.iter().flatten() {
        match Allowed::parse(text) {
            Some(one) => allow.push(one),
            None => section.wrong(
                "allow",
                format!(
                    "`{text}` is neither a network, an address nor a host, as in 10.0.0.0/8 or hooks.example.local"
                ),
            ),
        }
    }
    let timeout_secs: Option<u64> = section.value("timeout_secs");
    let at_once: Option<usize> = section.value("at_once");
    let rate_per_second: Option<u32> = section.value("rate_per_second");
    let give_up_after = duration(&mut section, "give_up_after");
    let overlap = duration(&mut section, "overlap");
    section.require("timeout_secs", timeout_secs.is_none_or(|secs| (1..=120).contains(&secs)), "must be 1 to 120");
    section.require("at_once", at_once.is_none_or(|n| (1..=1_000).contains(&n)), "must be between 1 and 1000");
    section.require("rate_per_second", rate_per_second.is_none_or(|n| n <= 10_000), "must be at most 10000");
    let long_enough = give_up_after.is_none_or(|time| time >= Duration::from_secs(60));
    section.require("give_up_after", long_enough, "must be at least a minute");
    let bounded = overlap.is_none_or(|time| time <= Duration::from_secs(30 * 24 * 3600));
    section.require("overlap", bounded, "must be at most 30 days");
    section.finish();
    Some(WebhooksConfig {
        allow,
        timeout_secs: timeout_secs?,
        at_once: at_once?,
        rate_per_second: rate_per_second?,
        give_up_after: give_up_after?,
        overlap: overlap?,
    })
}

/// Seconds as a number, or a text with its unit.
fn duration(section: &mut Section<'_>, key: &'static str) -> Option<Duration> {
    let given: toml::Value = section.value(key)?;
    let read = match &given {
        toml::Value::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        toml::Value::String(text) => kopru_sdk::settings::duration(text),
        _ => None,
    };
    if read.is_none() {
        section
            .wrong(key, "must be a duration: seconds as a number, or a text such as \"90 s\", \"36 h\" or \"5 days\"");
    }
    read
}

fn retention(mut section: Section<'_>) -> Option<RetentionConfig> {
    let payload_days: Option<u32> = section.value("payload_days");
    let history_days: Option<u32> = section.value("history_days");
    let audit_years: Option<u32> = section.value("audit_years");
    section.require("audit_years", audit_years.is_none_or(|years| (1..=1000).contains(&years)), "must be 1 to 1000");
    section.require("payload_days", payload_days.is_none_or(|days| days > 0), "must be at least 1");
    if let (Some(payload), Some(history)) = (payload_days, history_days) {
        section.require("history_days", history >= payload, "must be at least payload_days");
    }
    section.finish();
    Some(RetentionConfig { payload_days: payload_days?, history_days: history_days?, audit_years: audit_years? })
}

fn log(mut section: Section<'_>) -> Option<LogConfig> {
    let level: Option<String> = section.value("level");
    let format = section.value("format");
    if let Some(error) = level.as_deref().and_then(|level| EnvFilter::builder().parse(level).err()) {
        section.wrong("level", format!("not a log filter: {error}"));
    }
    section.finish();
    Some(LogConfig { level: level?, format: format? })
}

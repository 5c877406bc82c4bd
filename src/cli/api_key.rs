//! `kopru api-key …`: keys of machines that call the hub.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use ipnet::{IpNet, Ipv4Net};
use serde_json::json;

use super::{actor::actor, failure::Failure, output, run::Global};
use crate::{
    app::App,
    audit::Actor,
    identity::{
        api_keys::{self, ApiKey, NewKey, SCOPES},
        uses,
    },
    transaction,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key; it is shown once
    Create(CreateArgs),
    /// List keys, newest first; their secrets are nowhere
    List {
        /// Revoked ones as well
        #[arg(long)]
        all: bool,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// `nextCursor` of the page before
        #[arg(long)]
        cursor: Option<i64>,
    },
    /// End a key for good; every daemon refuses it within 5 seconds
    Revoke {
        /// Its prefix, from `kopru api-key list`
        prefix: String,
    },
    /// How keys were used: counts per key, route, address and minute, newest first
    Uses {
        /// Only of the key with this prefix
        #[arg(long)]
        prefix: Option<String>,
        /// accepted, or why it was refused: unknown, revoked, expired, address, scope, rate
        #[arg(long)]
        outcome: Option<String>,
        /// Only since then (RFC 3339)
        #[arg(long, value_name = "TIME")]
        since: Option<DateTime<Utc>>,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// `nextCursor` of the page before
        #[arg(long)]
        cursor: Option<i64>,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// For whom or what it is
    #[arg(long)]
    name: String,
    /// What it may do: integration:read, integration:write, or a permission of the commerce API such as orders.view (may be
    /// given several times)
    #[arg(long = "scope", required = true)]
    scopes: Vec<String>,
    /// The configured system on whose behalf it speaks [default: the only one, else logo]
    #[arg(long)]
    instance: Option<String>,
    /// When it ends (RFC 3339) [default: never]
    #[arg(long, value_name = "TIME")]
    expires: Option<DateTime<Utc>>,
    /// Addresses or networks that may use it (may be given several times) [default: all]
    #[arg(long = "ip", value_name = "CIDR", value_parser = network)]
    networks: Vec<IpNet>,
    /// Requests a minute [default: [rate_limit] per_api_key_per_minute]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
}

fn network(text: &str) -> Result<IpNet, String> {
    let bare = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    let network: Option<IpNet> = text.parse().ok().or_else(bare);
    network.map(unmapped).ok_or_else(|| "name an address or a network, as in 10.0.0.0/8".to_owned())
}

/// A network of IPv4 addresses that is written in IPv6 (`::ffff:10.0.0.0/104`): callers are known by the addresses proper.
fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let inner = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    inner.and_then(|(address, length)| Some(IpNet::V4(Ipv4Net::new(address, length).ok()?))).unwrap_or(network)
}

pub(super) async fn api_key(global: &Global, command: Command) -> Result<(), Failure> {
    let app = global.open().await?;
    let outcome = work(global, &app, command).await;
    App::close(app).await;
    outcome
}

async fn work(global: &Global, app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(args) => create(global, app, args).await,
        Command::List { all, limit, cursor } => list(global, app, all, limit, cursor).await,
        Command::Revoke { prefix } => revoke(global, app, &prefix).await,
        Command::Uses { prefix, outcome, since, limit, cursor } => {
            let filter = uses::Filter { prefix, outcome, since };
            show_uses(global, app, &filter, limit, cursor).await
        }
    }
}

async fn create(global: &Global, app: &App, args: CreateArgs) -> Result<(), Failure> {
    let enabled = app.config.connectors.iter().filter(|(_, connector)| connector.enabled);
    let configured: Vec<&str> = enabled.map(|(name, _)| name.as_str()).collect();
    let instance = args.instance.unwrap_or_else(|| match configured.as_slice() {
        [only] => (*only).to_owned(),
        _ => "logo".to_owned(),
    });
    // Only what is pushed speaks for a system.
    let pushes = args.scopes.iter().any(|scope| SCOPES.contains(&scope.as_str()));
    if pushes && !configured.contains(&instance.as_str()) {
        return Err(Failure::Usage(not_configured(&instance, &configured)));
    }
    let new = NewKey {
        name: args.name,
        instance,
        scopes: args.scopes,
        allowed_networks: args.networks,
        rate_per_minute: args.rate,
        expires_at: args.expires,
    };
    let actor = actor();
    let mut tx = transaction::begin(&app.database.pool).await?;
    let by = Actor::new(&actor, "cli");
    let (key, text) = api_keys::create(&mut tx, by, &new, app.clock.now()).await?;
    tx.commit().await?;
    if global.json {
        let mut shown = serde_json::to_value(&key).map_err(|error| Failure::Failed(error.to_string()))?;
        shown["key"] = json!(text.expose());
        return output::print_json(&shown);
    }
    output::print(text.expose())?;
    eprintln!("This is the key. It is shown now and never again; send it in the header X-API-Key.");
    Ok(())
}

fn not_configured(instance: &str, configured: &[&str]) -> String {
    let known = match configured {
        [] => "none is".to_owned(),
        names => format!("configured: {}", names.join(", ")),
    };
    format!(
        "no system `{instance}` is configured, and a key speaks for one that is ({known}); name it with --instance, or \
         configure it: `[connectors.NAME]`, with `kind = \"push\"` when it only pushes"
    )
}

async fn list(global: &Global, app: &App, all: bool, limit: i64, cursor: Option<i64>) -> Result<(), Failure> {
    let keys = api_keys::list(&app.database.pool, all, cursor, limit).await?;
    let now = app.clock.now();
    let time = |at: Option<DateTime<Utc>>| at.map_or_else(|| "-".to_owned(), output::at);
    let row = |key: &ApiKey| {
        let state = match (key.revoked_at, key.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(at)) if at <= now => "expired",
            _ => "good",
        };
        vec![
            key.prefix.clone(),
            key.name.clone(),
            key.instance.clone(),
            key.scopes.join(","),
            state.to_owned(),
            time(key.expires_at),
            time(key.last_used_at),
            if key.allowed_networks.is_empty() { "any".to_owned() } else { key.allowed_networks.join(",") },
        ]
    };
    let header = ["PREFIX", "NAME", "INSTANCE", "SCOPES", "STATE", "EXPIRES (UTC)", "LAST USED (UTC)", "FROM"];
    let none = "no API keys; `kopru api-key create` makes one";
    output::Listed::page(&keys, limit, |key| key.id).print(global, none, &header, row)
}

async fn revoke(global: &Global, app: &App, prefix: &str) -> Result<(), Failure> {
    // People paste what they have: the whole key, or its beginning.
    let prefix = prefix.strip_prefix("kpr_").unwrap_or(prefix);
    let prefix = prefix.split('_').next().unwrap_or(prefix);
    let actor = actor();
    let mut tx = transaction::begin(&app.database.pool).await?;
    let key = api_keys::revoke(&mut tx, Actor::new(&actor, "cli"), prefix).await?;
    tx.commit().await?;
    match global.json {
        true => output::print_json(&key),
        false => {
            output::print(&format!("{} ({}) is revoked; daemons refuse it within 5 seconds", key.prefix, key.name))
        }
    }
}

async fn show_uses(
    global: &Global,
    app: &App,
    filter: &uses::Filter,
    limit: i64,
    cursor: Option<i64>,
) -> Result<(), Failure> {
    let lines = uses::list(&app.database.pool, filter, cursor, limit).await?;
    output::Listed::page(&lines, limit, |line| line.id).print(
        global,
        "no uses",
        &["MINUTE (UTC)", "PREFIX", "NAME", "FROM", "OUTCOME", "USES", "ROUTE"],
        |line| {
            vec![
                line.minute.format("%F %H:%M").to_string(),
                line.prefix.clone().unwrap_or_else(|| "-".to_owned()),
                line.name.clone().unwrap_or_default(),
                line.address.clone().unwrap_or_else(|| "several".to_owned()),
                line.outcome.clone(),
                line.uses.to_string(),
                format!("{} {}", line.method, line.route),
            ]
        },
    )
}

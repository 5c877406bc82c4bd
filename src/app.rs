//! The composition root: the only file that sees every room.
//!
//! A command opens the app, works, and closes it. Closing is what stops a private server that nobody else uses.

use std::{collections::BTreeMap, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use chrono::NaiveTime;
use kopru_sdk::{Connector, Descriptor, Sink, StreamSpec, What, outbound::Guard, settings::unknown_key};

use crate::{
    canonical::Entity,
    clock::Clock,
    commerce::orders::{OrderRules, Policy},
    config::{
        self, AccountPolicy, Config, ConfigError, ConnectorConfig, FileFormat, FilesConfig, MailTls, OrdersConfig,
        Problem, Sources,
    },
    database::{Database, DatabaseError},
    hub::{
        deliveries::smtp::{self, Smtp},
        engine::{Engine, EngineError, EngineSettings, Handler, Instance, Stream},
        files::{Folder, Take},
        push_only::{self, PushOnly},
        retry::RetrySchedule,
        sinks::put_sinks,
        sweeps::{Mode, SweepPolicy},
        webhooks::WebhookSettings,
    },
    identity::{
        people::People,
        tokens::{KeyProblem, KeySource},
    },
    mail,
    mapping::{self, Format, Library},
    seal::{SealError, Sealer},
};

/// Why the app could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("people cannot sign in: {0}")]
    Keys(#[from] KeyProblem),
    #[error("the mappings have errors, see `kopru mapping check`: {}", first_of(.0))]
    Mappings(Vec<mapping::Problem>),
    #[error(transparent)]
    Seal(#[from] SealError),
}

fn first_of(problems: &[mapping::Problem]) -> String {
    problems.first().map(ToString::to_string).unwrap_or_default()
}

pub struct App {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub database: Database,
}

impl App {
    /// Opens the database with a schema that fits this binary.
    pub async fn open(config: Config, clock: Clock) -> Result<App, AppError> {
        let database = Database::open(&config).await?;
        Ok(App { config: Arc::new(config), clock, database })
    }

    /// The engine over the configured instances; it does nothing until it is started.
    pub fn engine(&self) -> Result<Engine, AppError> {
        self.engine_with(Vec::new())
    }

    /// The same with handlers for further kinds of queued messages.
    pub fn engine_with(&self, handlers: Vec<Arc<dyn Handler>>) -> Result<Engine, AppError> {
        let library = library(&self.config)?;
        let instances = connectors(&self.config, kopru_bundle::all())?
            .into_iter()
            .map(|(name, connector)| instance(&self.config, name, connector))
            .collect();
        let pool = self.database.pool.clone();
        let settings = EngineSettings {
            mappings_dir: Some(self.config.mappings.dir.clone()),
            webhooks: self.webhooks()?,
            ..engine_settings(&self.config)
        };
        let engine = Engine::new(pool, self.clock.clone(), Arc::new(library), instances, handlers, settings)?;
        put_sinks(&engine);
        engine.targets.put(mail::TARGET, Arc::new(mail_target(&self.config, self.sealer()?)?));
        Ok(engine)
    }

    /// How webhook endpoints are called, and what seals their secrets.
    pub fn webhooks(&self) -> Result<WebhookSettings, AppError> {
        let webhooks = &self.config.webhooks;
        Ok(WebhookSettings {
            sealer: self.sealer()?,
            guard: Guard::new(webhooks.allow.clone()),
            timeout: Duration::from_secs(webhooks.timeout_secs),
            at_once: webhooks.at_once,
            rate_per_second: NonZeroU32::new(webhooks.rate_per_second),
            give_up_after: webhooks.give_up_after,
            overlap: webhooks.overlap,
        })
    }

    /// What seals readable secrets; `None`: no master key is configured, see `[auth]`.
    pub fn sealer(&self) -> Result<Option<Sealer>, AppError> {
        let key = self.config.master_key();
        let read = |(path, make): (PathBuf, bool)| if make { Sealer::read_or_make(&path) } else { Sealer::read(&path) };
        Ok(key.map(read).transpose()?)
    }

    /// What people need to sign in. The keys of the tokens are read when they are first needed.
    pub fn people(&self) -> Result<People, AppError> {
        let source = match (&self.config.auth.signing_key_file, &self.config.database.url) {
            (Some(file), _) => KeySource::File(file.clone()),
            (None, Some(_)) => KeySource::Store,
            (None, None) => KeySource::OwnFile(self.config.data.dir.join("signing-key.pem")),
        };
        Ok(People::new(self.database.pool.clone(), self.clock.clone(), source, self.sealer()?))
    }

    pub async fn close(self) {
        self.database.close().await;
    }
}

/// The rules that orders are placed by.
pub fn order_rules(config: &OrdersConfig) -> OrderRules {
    let policy = |policy| match policy {
        AccountPolicy::Ignore => Policy::Ignore,
        AccountPolicy::Hold => Policy::Hold,
        AccountPolicy::Refuse => Policy::Refuse,
    };
    OrderRules {
        approve_above: config.approve_above,
        approve_first_orders: config.approve_first_orders,
        over_limit: policy(config.over_limit),
        overdue: policy(config.overdue),
        unpaid_for: Duration::from_secs(u64::from(config.unpaid_minutes) * 60),
        undecided_for: match config.undecided_days {
            0 => None,
            days => Some(Duration::from_secs(u64::from(days) * 24 * 3600)),
        },
        cart_for: Duration::from_secs(u64::from(config.cart_days) * 24 * 3600),
        allow_zero_price: config.allow_zero_price,
    }
}

/// The mappings in force: the built-in ones, and in the place of their systems those of the configured directory.
pub fn library(config: &Config) -> Result<Library, AppError> {
    let dir = Some(config.mappings.dir.as_path()).filter(|dir| dir.is_dir());
    Library::in_force(dir).map_err(AppError::Mappings)
}

/// The configured mail server, or none. What it needs elsewhere in the configuration is missed here.
fn mail_target(config: &Config, sealer: Option<Sealer>) -> Result<Smtp, ConfigError> {
    let mail = &config.mail;
    if mail.host.is_empty() {
        return Ok(Smtp::unconfigured());
    }
    let mut problems = wanting_for_mail(config);
    let Some(sealer) = sealer.filter(|_| problems.is_empty()) else { return Err(ConfigError(problems)) };
    let server = smtp::Server {
        host: mail.host.clone(),
        port: mail.port,
        protection: match mail.tls {
            MailTls::Starttls => smtp::Protection::StartTls,
            MailTls::Tls => smtp::Protection::Tls,
            MailTls::Plain => smtp::Protection::Plain,
        },
        user: mail.user.clone(),
        password: mail.password.clone(),
        from: mail.from.clone(),
        timeout: Duration::from_secs(mail.timeout_secs),
        public_url: config.http.public_url.clone(),
    };
    Smtp::new(server, sealer).map_err(|bad| {
        problems.push(Problem { origin: None, key: "mail.from".to_owned(), text: bad.to_string() });
        ConfigError(problems)
    })
}

/// What other sections must say when mails are sent.
fn wanting_for_mail(config: &Config) -> Vec<Problem> {
    if config.mail.host.is_empty() {
        return Vec::new();
    }
    let missing = |key: &str, text: &str| Problem { origin: None, key: key.to_owned(), text: text.to_owned() };
    let mut problems = Vec::new();
    if config.http.public_url.is_empty() {
        let text = "must say where people reach us: links in mails begin with it, and [mail] host is set";
        problems.push(missing("http.public_url", text));
    }
    if config.master_key().is_none() {
        let text = "must name the master key's file: links in mails are sealed with it, and [mail] host is set";
        problems.push(missing("auth.master_key_file", text));
    }
    problems
}

/// The watched folders of the configuration; every mapping that they name must be there and read their format.
pub fn folders(config: &Config, library: &Library) -> Result<Vec<Arc<Folder>>, ConfigError> {
    let enabled = config.files.iter().filter(|(_, files)| files.enabled);
    let folders: Vec<Folder> = enabled.map(|(name, files)| folder(name, files)).collect();
    let wrong = |folder: &Folder| {
        let key = format!("files.{}", folder.name);
        let of = move |text| Problem { origin: None, key: key.clone(), text };
        folder.wrong_mappings(library).into_iter().map(of).collect::<Vec<_>>()
    };
    let problems: Vec<Problem> = folders.iter().flat_map(wrong).collect();
    if problems.is_empty() { Ok(folders.into_iter().map(Arc::new).collect()) } else { Err(ConfigError(problems)) }
}

/// The folder in which a file of this name would lie for that instance; without one, what a folder is by itself.
pub fn folder_for(config: &Config, instance: &str, name: &str) -> Folder {
    let folders = config.files.iter().filter(|(_, files)| files.instance == instance);
    let mut folders = folders.map(|(key, files)| folder(key, files));
    folders.find(|folder| folder.take_of(name).is_some()).unwrap_or_else(|| Folder {
        name: "NAME".to_owned(),
        dir: PathBuf::new(),
        instance: instance.to_owned(),
        settle: Duration::ZERO,
        every: Duration::ZERO,
        max_bytes: u64::MAX,
        takes: Vec::new(),
        roots: config::exchange_roots(),
    })
}

fn folder(name: &str, files: &FilesConfig) -> Folder {
    let format = |format| match format {
        FileFormat::Xml => Format::Xml,
        FileFormat::Csv => Format::Csv,
    };
    let take = |take: &crate::config::TakeConfig| Take {
        pattern: take.pattern.clone(),
        mapping: take.mapping.clone(),
        format: take.format.map(format),
        encoding: take.encoding.clone(),
    };
    Folder {
        name: name.to_owned(),
        dir: files.dir.clone(),
        instance: files.instance.clone(),
        settle: Duration::from_secs(files.settle_secs),
        every: Duration::from_secs(files.every_secs),
        max_bytes: files.max_bytes,
        takes: files.takes.iter().map(take).collect(),
        roots: files.roots.clone(),
    }
}

fn instance(config: &Config, name: String, connector: Arc<dyn Connector>) -> Instance {
    let configured = config.connectors.get(&name).cloned().unwrap_or_default();
    let streams = connector.source().map(|source| source.streams()).unwrap_or_default();
    Instance {
        kind: configured.kind.clone(),
        exclusive: configured.exclusive.unwrap_or_else(|| connector.exclusive()),
        master: configured.master.as_ref().map(|names| names.iter().filter_map(|name| Entity::parse(name)).collect()),
        send: configured.send.as_ref().map(|names| names.iter().filter_map(|name| What::parse(name)).collect()),
        streams: streams.into_iter().map(|spec| stream(config, &configured, spec)).collect(),
        name,
        connector,
    }
}

fn stream(config: &Config, configured: &ConnectorConfig, spec: StreamSpec) -> Stream {
    let chosen = configured.streams.get(spec.name).cloned().unwrap_or_default();
    let full_at = chosen.full_at.as_deref().unwrap_or(&config.hub.full_at);
    Stream {
        enabled: chosen.enabled,
        every: Duration::from_secs(chosen.every_secs.unwrap_or(spec.every_secs)),
        // The configuration has checked it; empty means never.
        full_at: NaiveTime::parse_from_str(full_at, "%H:%M").ok(),
        mapping: chosen.mapping.unwrap_or_else(|| spec.mapping.to_owned()),
        // The configuration has checked these.
        sweep: SweepPolicy {
            mode: chosen.sweep.as_deref().and_then(Mode::parse).unwrap_or_default(),
            guard_percent: chosen.sweep_guard_percent.unwrap_or(SweepPolicy::default().guard_percent),
        },
        spec,
    }
}

fn engine_settings(config: &Config) -> EngineSettings {
    let retry = &config.retry;
    EngineSettings {
        retry: RetrySchedule {
            delays: retry.delays_secs.iter().copied().map(Duration::from_secs).collect(),
            jitter: retry.jitter,
            ..RetrySchedule::default()
        },
        breaker_threshold: retry.breaker_threshold,
        probe_after: Duration::from_secs(retry.probe_secs),
        lease: retry.lease(),
        heartbeat: retry.heartbeat(),
        defer_for: Duration::from_secs(retry.defer_for_secs),
        max_claims: retry.max_claims,
        workers: config.hub.workers,
        recall_bytes: config.hub.recall_mb * 1024 * 1024,
        timezone: config.hub.timezone,
        payload_days: config.retention.payload_days,
        history_days: config.retention.history_days,
        ..EngineSettings::default()
    }
}

/// Builds every enabled instance of the configuration; reports everything that is wrong with any of them.
pub fn connectors(
    config: &Config,
    descriptors: &[Descriptor],
) -> Result<BTreeMap<String, Arc<dyn Connector>>, ConfigError> {
    let mut built: BTreeMap<String, Arc<dyn Connector>> = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, connector) in config.connectors.iter().filter(|(_, connector)| connector.enabled) {
        let path = format!("connectors.{name}");
        if connector.kind == push_only::KIND {
            problems.extend(unknown_names(connector, &[], &path));
            let settings = connector.settings.as_object().into_iter().flatten();
            problems.extend(settings.map(|(key, _)| Problem {
                origin: connector.origins.get(key).cloned(),
                key: format!("{path}.{key}"),
                text: "a system that only pushes has no settings; remove it".to_owned(),
            }));
            built.insert(name.clone(), Arc::new(PushOnly));
            continue;
        }
        let Some(descriptor) = descriptors.iter().find(|descriptor| descriptor.kind == connector.kind) else {
            let kinds = descriptors.iter().map(|descriptor| descriptor.kind).chain([push_only::KIND]);
            let kinds: Vec<&str> = kinds.collect();
            let text = format!("`{}`: {}", connector.kind, unknown_key(&connector.kind, &kinds).replace("key", "kind"));
            problems.push(Problem { origin: None, key: format!("{path}.kind"), text });
            continue;
        };
        problems.extend(unknown_names(connector, descriptor.streams, &path));
        let Some(settings) = config.connector_settings(name) else { continue };
        match (descriptor.build)(&settings) {
            Ok(instance) => {
                built.insert(name.clone(), instance);
            }
            Err(bad) => problems.extend(bad.0.into_iter().map(|bad| {
                let top = bad.key.split('.').next().unwrap_or_default();
                let origin = connector.origins.get(top).cloned();
                let key = if bad.key.is_empty() { path.clone() } else { format!("{path}.{}", bad.key) };
                Problem { origin, key, text: bad.problem }
            })),
        }
    }
    problems.extend(shared_masters(config, &built));
    problems.extend(shared_sends(config, &built));
    if problems.is_empty() { Ok(built) } else { Err(ConfigError(problems)) }
}

/// One instance is told of a document: two would each make the same order, in two firms.
fn shared_sends(config: &Config, built: &BTreeMap<String, Arc<dyn Connector>>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut told: BTreeMap<What, &str> = BTreeMap::new();
    for (name, connector) in built {
        let chosen = config.connectors.get(name).and_then(|connector| connector.send.as_ref());
        let is_sent = |what: &What| chosen.is_none_or(|names| names.iter().any(|name| name == what.as_str()));
        let outlets = connector.sink().map(Sink::outlets).unwrap_or_default();
        let mut shared: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for what in outlets.iter().map(|outlet| outlet.what).filter(is_sent) {
            match told.get(&what) {
                Some(other) => shared.entry(other).or_default().push(what.as_str()),
                None => {
                    told.insert(what, name);
                }
            }
        }
        for (other, documents) in shared {
            problems.push(Problem {
                origin: None,
                key: format!("connectors.{name}.send"),
                text: format!(
                    "`{name}` and `{other}` would both be told of {}, and each would make them; list in `send` of one of them only what \
                     it is told (an empty list: nothing)",
                    documents.join(", ")
                ),
            });
        }
    }
    problems
}

/// One instance is the master of an entity: two that create records of it would take each other's for their own, since
/// `120.01.001` is another customer in another firm.
fn shared_masters(config: &Config, built: &BTreeMap<String, Arc<dyn Connector>>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut masters: BTreeMap<Entity, &str> = BTreeMap::new();
    let kind = |name: &str| config.connectors.get(name).map(|connector| connector.kind.as_str());
    let brings =
        |name: &str, connector: &dyn Connector| connector.source().is_some() || kind(name) == Some(push_only::KIND);
    for (name, _) in built.iter().filter(|(name, connector)| brings(name, connector.as_ref())) {
        let chosen = config.connectors.get(name).and_then(|connector| connector.master.as_ref());
        let is_master = |entity: &Entity| chosen.is_none_or(|names| names.iter().any(|name| name == entity.as_str()));
        let mut shared: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for entity in Entity::ALL.into_iter().filter(|entity| !entity.is_document() && is_master(entity)) {
            match masters.get(&entity) {
                Some(other) => shared.entry(other).or_default().push(entity.as_str()),
                None => {
                    masters.insert(entity, name);
                }
            }
        }
        for (other, entities) in shared {
            problems.push(Problem {
                origin: None,
                key: format!("connectors.{name}.master"),
                text: format!(
                    "`{name}` and `{other}` would both create records of {}; list in `master` of one of them only what \
                     it creates (an empty list: nothing, it finds records by their codes)",
                    entities.join(", ")
                ),
            });
        }
    }
    problems
}

/// Streams and entities that an instance names and that are not there.
fn unknown_names(connector: &ConnectorConfig, known_streams: &[&str], path: &str) -> Vec<Problem> {
    let unknown = |name: &str, known: &[&str], sort: &str| unknown_key(name, known).replace("key", sort);
    let streams = connector.streams.keys().filter(|stream| !known_streams.contains(&stream.as_str()));
    let streams = streams.map(|stream| Problem {
        origin: connector.origins.get(&format!("streams.{stream}")).cloned(),
        key: format!("{path}.streams.{stream}"),
        text: unknown(stream, known_streams, "stream"),
    });
    let documents = What::ALL.map(What::as_str);
    let sent = connector.send.iter().flatten().filter(|name| What::parse(name).is_none()).map(|name| Problem {
        origin: None,
        key: format!("{path}.send"),
        text: format!("`{name}`: {}", unknown(name, &documents, "document")),
    });
    let entities = Entity::ALL.map(Entity::as_str);
    let named = connector.master.iter().flatten().filter(|name| Entity::parse(name).is_none());
    let named = named.map(|name| Problem {
        origin: None,
        key: format!("{path}.master"),
        text: format!("`{name}`: {}", unknown(name, &entities, "entity").replace("entitys", "entities")),
    });
    streams.chain(sent).chain(named).collect()
}

/// Reads the configuration as `serve` needs it: with everything that is wrong with any connector told as well.
pub fn load_config(sources: &Sources) -> Result<Config, ConfigError> {
    Config::load_checked(sources, |config| {
        let mut problems = wanting_for_mail(config);
        if let Err(ConfigError(more)) = connectors(config, kopru_bundle::all()) {
            problems.extend(more);
        }
        problems
    })
}

/// Hides what nobody can vouch for: values that the connector of a switched-off instance refuses, where a mistyped
/// `password` would show its value, and all of a kind that this build does not have.
pub fn hide_unknown(config: &mut Config) {
    let names: Vec<String> = config.connectors.keys().cloned().collect();
    for name in names {
        let Some(settings) = config.connector_settings(&name) else { continue };
        let Some(connector) = config.connectors.get_mut(&name) else { continue };
        match kopru_bundle::all().iter().find(|descriptor| descriptor.kind == connector.kind) {
            Some(descriptor) => {
                let refused = (descriptor.build)(&settings).err().into_iter().flat_map(|bad| bad.0);
                let top = |key: &str| key.split('.').next().unwrap_or_default().to_owned();
                connector.secrets.extend(refused.map(|bad| top(&bad.key)));
            }
            None => {
                connector.secrets.extend(settings.values.as_object().into_iter().flatten().map(|(key, _)| key.clone()))
            }
        }
    }
}

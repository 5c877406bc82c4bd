//! The tree of commands, and running one.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    api_key, audit, config, connector, dead_letters, deliveries, demo, doctor,
    failure::Failure,
    files,
    logging::{self, Voice},
    mapping, mapping_list, messages, migrate, openapi, output, preview, reconcile, sandbox, serve, sync, timeline,
    unmapped, user, webhook_endpoints,
};
use crate::{
    app::{self, App},
    clock::Clock,
    config::{Config, ConfigError, Sources},
};

const CLEAN_UP: Duration = Duration::from_secs(10);

#[derive(Debug, Parser)]
#[command(
    name = "kopru",
    version,
    about = "Köprü joins an ERP, a payment gateway and cargo carriers to one commerce database"
)]
#[command(disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// Configuration file [default: ./config.toml if there is one, else the built-in defaults]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, instead of [data] dir
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The daemon: polls the systems, works off what waits, answers HTTP
    Serve(serve::ServeArgs),
    /// Simulated systems, a private PostgreSQL, realistic data and the daemon
    Demo(demo::DemoArgs),
    /// The simulated systems alone
    Sandbox(sandbox::SandboxArgs),
    /// Bring the database schema up to date
    Migrate,
    /// Check everything that the hub needs: configuration, disk, PostgreSQL, schema, history, systems
    Doctor(doctor::DoctorArgs),
    /// Print the configuration in force, secrets masked
    Config,
    /// The streams: run one now, list them, pause and resume polling
    #[command(subcommand)]
    Sync(sync::Command),
    /// The systems: list them, ask one, read what was recorded of one
    #[command(subcommand)]
    Connector(connector::Command),
    /// The mapping files: check and try them, where they are in force, codes that no table knows
    #[command(subcommand)]
    Mapping(MappingCommand),
    /// What came in, and what became of it
    #[command(subcommand)]
    Messages(messages::Command),
    /// Everything that touched an order, a product, a customer, an invoice or a return, across systems
    Timeline(timeline::TimelineArgs),
    /// Both sides of a stream compared, with a report that is kept: `kopru reconcile logo.items [--repair]`
    Reconcile(reconcile::ReconcileArgs),
    /// What could not go in, and mending it
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// What is told to others (mails, events), and what came of it
    #[command(subcommand)]
    Deliveries(deliveries::Command),
    /// Addresses that are told of events: register, rotate, test, replay
    #[command(subcommand, visible_alias = "webhook")]
    WebhookEndpoints(webhook_endpoints::Command),
    /// The files of watched folders: what came, what became of it, taking one up again
    #[command(subcommand)]
    Files(files::Command),
    /// Keys of machines that call the hub: make, list, revoke them, see how they are used
    #[command(subcommand)]
    ApiKey(api_key::Command),
    /// People who sign in: make, list, disable, give a link to choose a password
    #[command(subcommand)]
    User(user::Command),
    /// Who did what, and when
    #[command(subcommand)]
    Audit(audit::Command),
    /// Print the description of the HTTP API (OpenAPI 3.1)
    Openapi,
    /// Print the version
    Version,
}

#[derive(Debug, Subcommand)]
enum MappingCommand {
    /// Every error at once, with file, line and remedy
    Check {
        /// Files or folders [default: the mappings in force]
        paths: Vec<PathBuf>,
    },
    /// Run the golden cases beside the mappings
    Test {
        /// Files or folders [default: the mappings in force]
        paths: Vec<PathBuf>,
    },
    /// Every mapping, and where it is in force
    List,
    /// What a document, or what is stored, would change, field by field; writes nothing
    Preview(preview::PreviewArgs),
    /// External codes that no table knows, and the answers for them
    #[command(subcommand)]
    Unmapped(unmapped::Command),
}

impl Global {
    pub fn names_data_dir(&self) -> bool {
        self.data_dir.is_some()
    }

    pub fn sources(&self) -> Sources {
        let sources = Sources::of_process(self.config.clone());
        match &self.data_dir {
            Some(dir) => sources.set("data.dir", dir.as_str()),
            None => sources,
        }
    }

    /// The configuration; logging starts with it.
    pub fn load(&self, voice: Voice) -> Result<Config, ConfigError> {
        self.load_with(voice, |sources| sources)
    }

    /// The same with what a command's own options set.
    pub fn load_with(&self, voice: Voice, set: impl FnOnce(Sources) -> Sources) -> Result<Config, ConfigError> {
        let config = Config::load(&set(self.sources()))?;
        logging::start(&config.log, voice);
        Ok(config)
    }

    /// The same for the daemon, which nothing wrong with any connector may surprise later.
    pub fn load_for_serving(&self, set: impl FnOnce(Sources) -> Sources) -> Result<Config, ConfigError> {
        let config = app::load_config(&set(self.sources()))?;
        logging::start(&config.log, Voice::Daemon);
        Ok(config)
    }

    /// The open app, for a command that works and ends.
    pub async fn open(&self) -> Result<App, Failure> {
        Ok(App::open(self.load(Voice::Command)?, Clock::system()).await?)
    }
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::Failed(format!("cannot start: {error}"))),
    };
    let outcome = runtime.block_on(run(cli));
    // What is being cleaned up on its blocking threads may finish; what waits there for another process may not.
    runtime.shutdown_timeout(CLEAN_UP);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &Failure) -> ExitCode {
    if !matches!(failure, Failure::Told(_)) {
        eprintln!("kopru: {failure}");
    }
    ExitCode::from(failure.exit_code())
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let global = &cli.global;
    match cli.command {
        Command::Serve(args) => serve::serve(global, args).await,
        Command::Demo(args) => demo::demo(global, args).await,
        Command::Sandbox(args) => sandbox::sandbox(global, args).await,
        Command::Migrate => interruptible(migrate::migrate(global)).await,
        Command::Doctor(args) => interruptible(doctor::doctor(global, args)).await,
        Command::Config => config::config(global),
        Command::Version => version(global),
        Command::Openapi => openapi::openapi(),
        Command::ApiKey(command) => interruptible(api_key::api_key(global, command)).await,
        Command::User(command) => interruptible(user::user(global, command)).await,
        Command::Audit(command) => interruptible(audit::audit(global, command)).await,
        Command::Sync(command) => sync::sync(global, command).await,
        Command::Connector(command) => interruptible(connector::connector(global, command)).await,
        Command::Mapping(MappingCommand::Check { paths }) => look_at_mappings(global, mapping::check, &paths),
        Command::Mapping(MappingCommand::Test { paths }) => look_at_mappings(global, mapping::test, &paths),
        Command::Mapping(MappingCommand::List) => Box::pin(interruptible(mapping_list::run(global))).await,
        Command::Mapping(MappingCommand::Preview(args)) => interruptible(preview::run(global, args)).await,
        Command::Mapping(MappingCommand::Unmapped(command)) => {
            Box::pin(interruptible(unmapped::unmapped(global, command))).await
        }
        Command::Reconcile(args) => reconcile::run(global, args).await,
        Command::Timeline(args) => interruptible(timeline::run(global, args)).await,
        Command::Messages(command) => interruptible(messages::messages(global, command)).await,
        Command::Files(command) => interruptible(files::files(global, command)).await,
        Command::Deliveries(command) => interruptible(deliveries::deliveries(global, command)).await,
        Command::WebhookEndpoints(command) => {
            Box::pin(interruptible(webhook_endpoints::webhook_endpoints(global, command))).await
        }
        Command::DeadLetters(command) => Box::pin(interruptible(dead_letters::dead_letters(global, command))).await,
    }
}

fn version(global: &Global) -> Result<(), Failure> {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    match global.json {
        true => output::print_json(&serde_json::json!({ "version": VERSION })),
        false => output::print(&format!("kopru {VERSION}")),
    }
}

fn look_at_mappings(global: &Global, look: mapping::Look, paths: &[PathBuf]) -> Result<(), Failure> {
    if let Some(path) = paths.iter().find(|path| !mapping::is_place_of_mappings(path)) {
        let text = format!(
            "{} holds no mapping: name a .toml file, a system's folder, or a folder of systems",
            path.display()
        );
        return Err(Failure::Usage(text));
    }
    let config = global.load(Voice::Command)?;
    let dir = Some(config.mappings.dir.as_path()).filter(|dir| dir.is_dir());
    let mut out = Vec::new();
    let code = look(dir, paths, global.json, &mut out).map_err(|error| Failure::Failed(error.to_string()))?;
    output::print(&String::from_utf8_lossy(&out))?;
    if code == 0 { Ok(()) } else { Err(Failure::Told(code)) }
}

/// Ends with the first signal to stop, from the moment of this call on.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let cannot = |error| Failure::Failed(format!("cannot listen for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// For commands that hold nothing which a signal must not cut: what they opened is closed by dropping it.
pub(super) async fn interruptible<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let stopped = stop_signal()?;
    tokio::select! {
        outcome = command => outcome,
        () = stopped => Err(Failure::Interrupted),
    }
}

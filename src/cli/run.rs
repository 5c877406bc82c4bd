//! The tree of commands, and running one.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    config, doctor,
    failure::Failure,
    logging::{self, Voice},
    migrate,
};
use crate::{
    app::App,
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
    /// Bring the database schema up to date
    Migrate,
    /// Check configuration, data directory, PostgreSQL, schema and connectors
    Doctor,
    /// Print the configuration in force, secrets masked
    Config,
}

impl Global {
    pub fn sources(&self) -> Sources {
        let sources = Sources::of_process(self.config.clone());
        match &self.data_dir {
            Some(dir) => sources.set("data.dir", dir.as_str()),
            None => sources,
        }
    }

    /// The configuration; logging starts with it.
    pub fn load(&self, voice: Voice) -> Result<Config, ConfigError> {
        let config = Config::load(&self.sources())?;
        logging::start(&config.log, voice);
        Ok(config)
    }

    /// The open app, for a command that works and ends.
    #[expect(dead_code, reason = "the commands that work on data follow")]
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
        Command::Migrate => interruptible(migrate::migrate(global)).await,
        Command::Doctor => interruptible(doctor::doctor(global)).await,
        Command::Config => config::config(global),
    }
}

/// For commands that hold nothing which a signal must not cut: what they opened is closed by dropping it.
async fn interruptible(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let cannot = |error| Failure::Failed(format!("cannot listen for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    tokio::select! {
        outcome = command => outcome,
        _ = interrupt.recv() => Err(Failure::Interrupted),
        _ = terminate.recv() => Err(Failure::Interrupted),
    }
}

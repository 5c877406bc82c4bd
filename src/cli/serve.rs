//! `kopru serve`: the daemon.

use clap::Args;

use super::{
    failure::Failure,
    run::{Global, stop_signal},
};
use crate::{app::App, clock::Clock, daemon};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Address of the API, instead of [http] listen
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

pub(super) async fn serve(global: &Global, args: ServeArgs) -> Result<(), Failure> {
    let config = global.load_for_serving(|sources| match args.listen {
        Some(address) => sources.set("http.listen", address),
        None => sources,
    })?;
    if config.connectors.is_empty() {
        tracing::warn!("no connector is configured, so nothing is synchronised; see [connectors.NAME] in config.toml");
    }
    // Asked for before anything is started, so that no signal falls in between.
    let stopped = stop_signal()?;
    let app = App::open(config, Clock::system()).await?;
    let outcome = match daemon::start(&app).await {
        Ok(running) => {
            tracing::info!(address = %running.address, database = app.database.address(), "ready");
            stopped.await;
            tracing::info!("stopping: what is in hand is finished first");
            running.stop().await;
            Ok(())
        }
        Err(error) => Err(error.into()),
    };
    app.close().await;
    outcome
}

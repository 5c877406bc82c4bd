//! `kopru sandbox`: the simulated systems alone.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use kopru_sdk::sandbox::{RunningSandbox, Sandbox, SandboxOptions};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    failure::Failure,
    logging::Voice,
    output,
    run::{Global, stop_signal},
};

#[derive(Debug, Args)]
pub(super) struct SandboxArgs {
    /// Everything generated follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Item cards of the simulated ERP
    #[arg(long, default_value_t = 20_000)]
    items: u64,
    /// Fault rules (JSON); read again whenever the file changes
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:32001")]
    listen: SocketAddr,
    /// Where it keeps what was written to it [default: memory only]
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Switches of the systems, as JSON: {"logo": {"page_ceiling": 25}}
    #[arg(long, value_name = "JSON")]
    switches: Option<String>,
}

pub(super) async fn sandbox(global: &Global, args: SandboxArgs) -> Result<(), Failure> {
    global.load(Voice::Command)?;
    let switches = match &args.switches {
        None => Value::Null,
        Some(text) => {
            serde_json::from_str(text).map_err(|error| Failure::Usage(format!("--switches is not JSON: {error}")))?
        }
    };
    let options = SandboxOptions { seed: args.seed, items: args.items, dir: args.journal, switches };
    let stopped = stop_signal()?;
    let running = start(args.listen, &options, args.faults).await?;
    let addresses = addresses(&running);
    if global.json {
        output::print_json(&json!({ "control": format!("http://{}/_sandbox", running.addr), "systems": addresses }))?;
    } else {
        output::print(&format!("control    http://{}/_sandbox/{{faults,state,change,clock}}", running.addr))?;
        for (kind, address) in addresses.as_object().into_iter().flatten() {
            output::print(&format!("{kind:<10} {}", address.as_str().unwrap_or_default()))?;
        }
    }
    stopped.await;
    running.shutdown().await;
    Ok(())
}

/// Every system of this build, on one address.
async fn start(
    listen: SocketAddr,
    options: &SandboxOptions,
    faults: Option<PathBuf>,
) -> Result<RunningSandbox, Failure> {
    let mut systems = Vec::new();
    for descriptor in kopru_bundle::all() {
        let system = (descriptor.sandbox)(options)
            .map_err(|bad| Failure::Usage(format!("the sandbox of {}: {bad}", descriptor.kind)))?;
        systems.push((descriptor.kind, system));
    }
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        Failure::Failed(format!("cannot listen on {listen}: {error}; choose another with --listen"))
    })?;
    Sandbox::start(listener, systems, faults).map_err(|error| Failure::Usage(error.to_string()))
}

fn addresses(running: &RunningSandbox) -> Value {
    kopru_bundle::all()
        .iter()
        .map(|descriptor| (descriptor.kind.to_owned(), Value::from(running.base_url(descriptor.kind))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

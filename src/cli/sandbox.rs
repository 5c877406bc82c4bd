//! `kopru sandbox`: the simulated systems alone.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Args;
use kopru_sdk::sandbox::{
    RunningSandbox, Sandbox, SandboxOptions, SandboxSystem,
    mail::{MailServer, Mailbox},
};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::{
    failure::Failure,
    logging::Voice,
    output,
    run::{Global, stop_signal},
};

/// Item cards that a simulated ERP can have.
pub(super) const MOST_ITEMS: u64 = 10_000_000;

#[derive(Debug, Args)]
pub(super) struct SandboxArgs {
    /// Everything generated follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Item cards of the simulated ERP
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=MOST_ITEMS))]
    items: u64,
    /// Fault rules (JSON); read again whenever the file changes
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Address of all systems and of the switches under /_sandbox
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:32001")]
    listen: SocketAddr,
    /// Address of the mail server [default: any free port of the other address]
    #[arg(long, value_name = "ADDR")]
    mail_listen: Option<SocketAddr>,
    /// Where it keeps what was written to it [default: memory only]
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Switches of the systems, as JSON: {"logo": {"page_ceiling": 25}}
    #[arg(long, value_name = "JSON")]
    switches: Option<String>,
    /// End when the process ends that started this one
    #[arg(long, hide = true)]
    die_with_parent: bool,
}

pub(super) async fn sandbox(global: &Global, args: SandboxArgs) -> Result<(), Failure> {
    global.load(Voice::Command)?;
    if args.die_with_parent {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
            .map_err(|error| Failure::Failed(format!("cannot follow the parent process: {error}")))?;
    }
    let switches = match &args.switches {
        None => Value::Null,
        Some(text) => {
            serde_json::from_str(text).map_err(|error| Failure::Usage(format!("--switches is not JSON: {error}")))?
        }
    };
    let options = SandboxOptions { seed: args.seed, items: args.items, dir: args.journal, switches };
    let stopped = stop_signal()?;
    let systems = systems(&options)?;
    let mail = mail(args.mail_listen.unwrap_or_else(|| SocketAddr::new(args.listen.ip(), 0)), &options).await?;
    let running = start(args.listen, &systems, mail, args.faults).await?;
    let mail = running.mail_addr.map(|address| address.to_string()).unwrap_or_default();
    let addresses: Map<String, Value> =
        systems.iter().map(|(kind, _)| ((*kind).to_owned(), Value::from(running.base_url(kind)))).collect();
    let settings: Map<String, Value> =
        systems.iter().map(|(kind, system)| ((*kind).to_owned(), system.settings(&running.base_url(kind)))).collect();
    if global.json {
        output::print_json(&json!({
            "control": format!("http://{}/_sandbox", running.addr), "systems": addresses, "settings": settings,
            "mail": mail,
        }))?;
    } else {
        output::print(&format!("control    http://{}/_sandbox/{{faults,state,change,clock,mails}}", running.addr))?;
        for (kind, address) in &addresses {
            output::print(&format!("{kind:<10} {}", address.as_str().unwrap_or_default()))?;
        }
        output::print(&format!("mail       smtp://{mail}"))?;
    }
    stopped.await;
    running.shutdown().await;
    Ok(())
}

type Systems = Vec<(&'static str, Arc<dyn SandboxSystem>)>;

/// Every system of this build.
fn systems(options: &SandboxOptions) -> Result<Systems, Failure> {
    kopru_bundle::all()
        .iter()
        .map(|descriptor| match (descriptor.sandbox)(options) {
            Ok(system) => Ok((descriptor.kind, system)),
            Err(bad) => Err(Failure::Usage(format!("the sandbox of {}: {bad}", descriptor.kind))),
        })
        .collect()
}

async fn mail(listen: SocketAddr, options: &SandboxOptions) -> Result<MailServer, Failure> {
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        Failure::Failed(format!("cannot take mail on {listen}: {error}; choose another with --mail-listen"))
    })?;
    let mailbox = Mailbox::open(options.dir.clone())
        .map_err(|error| Failure::Usage(format!("the mails of before cannot be read: {error}")))?;
    Ok(MailServer { listener, mailbox: Arc::new(mailbox) })
}

async fn start(
    listen: SocketAddr,
    systems: &Systems,
    mail: MailServer,
    faults: Option<PathBuf>,
) -> Result<RunningSandbox, Failure> {
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        Failure::Failed(format!("cannot listen on {listen}: {error}; choose another with --listen"))
    })?;
    Sandbox::start_with_mail(listener, systems.clone(), Some(mail), faults)
        .map_err(|error| Failure::Usage(error.to_string()))
}

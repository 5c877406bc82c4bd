//! `kopru audit …`: who did what, and when.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{failure::Failure, output, run::Global};
use crate::{
    app::App,
    audit::{self, Filter},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what was done, newest first
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only by this one: `cli:0`, `api-key:<prefix>`
    #[arg(long)]
    actor: Option<String>,
    /// Only this: `api_key.revoked`
    #[arg(long)]
    action: Option<String>,
    /// Only to this kind of thing: `api_key`, `dead_letter`
    #[arg(long)]
    kind: Option<String>,
    /// Only to this one: an id, a code, a prefix
    #[arg(long)]
    subject: Option<String>,
    /// Only since then (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// `nextCursor` of the page before
    #[arg(long)]
    cursor: Option<Uuid>,
}

pub(super) async fn audit(global: &Global, command: Command) -> Result<(), Failure> {
    let Command::List(args) = command;
    let app = global.open().await?;
    let outcome = list(global, &app, args).await;
    App::close(app).await;
    outcome
}

async fn list(global: &Global, app: &App, args: ListArgs) -> Result<(), Failure> {
    let filter = Filter {
        actor: args.actor,
        action: args.action,
        subject_kind: args.kind,
        subject: args.subject,
        since: args.since,
    };
    let rows = audit::list(&app.database.pool, &filter, args.cursor, args.limit).await?;
    output::Listed::page(&rows, args.limit, |row| row.id).print(
        global,
        "nothing was done",
        &["AT (UTC)", "BY", "WHAT", "TO", "DETAIL"],
        |row| {
            vec![
                output::at(row.at),
                row.actor.clone(),
                row.action.clone(),
                format!("{} {}", row.subject_kind, row.subject),
                row.detail.to_string(),
            ]
        },
    )
}

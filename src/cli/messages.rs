//! `kopru messages …`: what came in, and what became of it.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{failure::Failure, output, run::Global};
use crate::{
    app::App,
    hub::history::{self, MessageFilter},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List them, newest first
    List(ListArgs),
    /// One message with its attempts, records and payload
    Show {
        /// From `kopru messages list`
        id: Uuid,
    },
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only of this instance, `logo`
    #[arg(long)]
    connector: Option<String>,
    /// Only of this stream, `items`
    #[arg(long)]
    stream: Option<String>,
    /// received, working, waiting, held, deferred, blocked, done, unchanged, stale, superseded, dead or discarded
    #[arg(long)]
    state: Option<String>,
    /// External code of the message or of a record in it
    #[arg(long)]
    code: Option<String>,
    /// Only of this run
    #[arg(long)]
    run: Option<Uuid>,
    /// Only what came in since then (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// `nextCursor` of the page before
    #[arg(long)]
    cursor: Option<Uuid>,
}

pub(super) async fn messages(global: &Global, command: Command) -> Result<(), Failure> {
    let app = global.open().await?;
    let outcome = match command {
        Command::List(args) => list(global, &app, args).await,
        Command::Show { id } => show(global, &app, id).await,
    };
    App::close(app).await;
    outcome
}

async fn list(global: &Global, app: &App, args: ListArgs) -> Result<(), Failure> {
    if let Some(state) = &args.state
        && crate::hub::states::MessageState::parse(state).is_none()
    {
        let known: Vec<_> = crate::hub::states::MessageState::ALL.iter().map(|state| state.as_str()).collect();
        return Err(Failure::Usage(format!("`{state}` is no state of a message; known are {}", known.join(", "))));
    }
    let filter = MessageFilter {
        connector: args.connector,
        stream: args.stream,
        state: args.state,
        code: args.code,
        run: args.run,
        since: args.since,
    };
    let rows = history::list(&app.database.pool, &filter, args.cursor, args.limit).await?;
    output::Listed::page(&rows, args.limit, |row| row.id).print(
        global,
        "no messages",
        &["ID", "RECEIVED (UTC)", "STATE", "STREAM", "KIND", "CODE", "NOTE"],
        |row| {
            vec![
                row.id.to_string(),
                output::at(row.received_at),
                row.state.clone(),
                format!("{}.{}", row.connector, row.stream.as_deref().unwrap_or("-")),
                row.kind.clone(),
                row.code.clone().unwrap_or_else(|| format!("{} records", row.records)),
                row.detail.clone().unwrap_or_default(),
            ]
        },
    )
}

async fn show(global: &Global, app: &App, id: Uuid) -> Result<(), Failure> {
    let Some(detail) = history::show(&app.database.pool, id).await? else {
        return Err(Failure::Failed(format!("there is no message {id}; its history may have been trimmed")));
    };
    if global.json {
        return output::print_json(&detail);
    }
    let row = &detail.message;
    let mut text = format!(
        "message   {}\nstate     {}\nstream    {}.{}\nkind      {}\nreceived  {}\nrun       {}\nmapping   {} {}\n",
        row.id,
        row.state,
        row.connector,
        row.stream.as_deref().unwrap_or("-"),
        row.kind,
        row.received_at,
        row.run_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        row.mapping.as_deref().unwrap_or("-"),
        row.mapping_hash.as_deref().map_or("", |hash| &hash[..hash.len().min(12)]),
    );
    for wait in &detail.waits_for {
        text.push_str(&format!("waits for {} {}\n", wait.entity, wait.code));
    }
    for attempt in &detail.attempts_made {
        text.push_str(&format!(
            "attempt {} {} {} {}\n",
            attempt.number,
            attempt.started_at.format("%F %T"),
            attempt.outcome,
            attempt.detail.as_deref().unwrap_or("")
        ));
    }
    for item in &detail.items {
        text.push_str(&format!("  {:>5} {:<9} {}\n", item.ordinal, item.outcome, item.code.as_deref().unwrap_or("-")));
    }
    match &detail.payload {
        Some(payload) => text.push_str(&format!("\n{payload}\n")),
        None => text.push_str("\n(the payload is gone: retention)\n"),
    }
    output::print(&text)
}

//! `kopru files …`: what came through watched folders.

use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::{failure::Failure, output, run::Global};
use crate::{
    app::App,
    audit::Actor,
    hub::files::{
        FileRow,
        store::{self, FileFilter, RetryError},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List them, newest first
    List(ListArgs),
    /// One file with its counts and the records that did not go in
    Show {
        /// From `kopru files list`
        id: Uuid,
    },
    /// Take a finished file up again, from its first record on; what is in already costs nothing
    Retry {
        /// From `kopru files list`
        id: Uuid,
    },
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only of this folder, as in [files.NAME]
    #[arg(long)]
    folder: Option<String>,
    /// taken, applying, done, failed or again
    #[arg(long, value_parser = ["taken", "applying", "done", "failed", "again"])]
    state: Option<String>,
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// `nextCursor` of the page before
    #[arg(long)]
    cursor: Option<Uuid>,
}

pub(super) async fn files(global: &Global, command: Command) -> Result<(), Failure> {
    let app = global.open().await?;
    let outcome = match command {
        Command::List(args) => list(global, &app, args).await,
        Command::Show { id } => show(global, &app, id).await,
        Command::Retry { id } => retry(global, &app, id).await,
    };
    App::close(app).await;
    outcome
}

async fn list(global: &Global, app: &App, args: ListArgs) -> Result<(), Failure> {
    let filter = FileFilter { folder: args.folder, state: args.state };
    let rows = store::list(&app.database.pool, &filter, args.cursor, args.limit).await?;
    output::Listed::page(&rows, args.limit, |row| row.id).print(
        global,
        "no files",
        &["ID", "RECEIVED (UTC)", "STATE", "FOLDER", "NAME", "RECORDS", "FAILED", "NOTE"],
        |row| {
            vec![
                row.id.to_string(),
                output::at(row.received_at),
                row.state.clone(),
                row.folder.clone(),
                row.name.clone(),
                row.expected.map_or_else(|| "-".to_owned(), |expected| format!("{}/{expected}", row.records)),
                row.failed.to_string(),
                note(row),
            ]
        },
    )
}

/// What a person should know about it first.
fn note(row: &FileRow) -> String {
    match (&row.problem, &row.reason) {
        (Some(problem), _) => format!("waits: {problem}"),
        (None, Some(reason)) => format!(
            "{reason}, line {}, byte {}: {}",
            row.line.unwrap_or_default(),
            row.byte.unwrap_or_default(),
            row.detail.as_deref().unwrap_or_default()
        ),
        (None, None) => String::new(),
    }
}

async fn show(global: &Global, app: &App, id: Uuid) -> Result<(), Failure> {
    let Some(detail) = store::show(&app.database.pool, id).await? else {
        return Err(RetryError::Unknown(id).into());
    };
    if global.json {
        return output::print_json(&detail);
    }
    let row = &detail.file;
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut text = format!(
        "file      {}\nstate     {}\nfolder    {}\nname      {}\nkept as   {}\nreceived  {}\nsize      {} bytes\n\
         sha256    {}\nformat    {}, {}\nmapping   {}\nrecords   {} of {}\n",
        row.id,
        row.state,
        row.folder,
        row.name,
        or_none(&row.kept_name),
        row.received_at,
        row.size,
        or_none(&row.sha256),
        or_none(&row.format),
        or_none(&row.encoding),
        or_none(&row.mapping),
        row.records,
        row.expected.map_or_else(|| "-".to_owned(), |expected| expected.to_string()),
    );
    let counts = [
        ("created", row.created),
        ("updated", row.updated),
        ("unchanged", row.unchanged),
        ("stale", row.stale),
        ("superseded", row.superseded),
        ("deferred", row.deferred),
        ("deactivated", row.deactivated),
        ("skipped", row.skipped),
        ("failed", row.failed),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        text.push_str(&format!("  {name:<11} {count}\n"));
    }
    let note = note(row);
    if !note.is_empty() {
        text.push_str(&format!("note      {note}\n"));
    }
    for failure in &detail.failures {
        text.push_str(&format!(
            "  line {:>7} {} {} {}: {}\n",
            failure.line,
            failure.code.as_deref().unwrap_or("-"),
            failure.field.as_deref().unwrap_or("-"),
            failure.reason,
            failure.detail
        ));
    }
    output::print(&text)
}

async fn retry(global: &Global, app: &App, id: Uuid) -> Result<(), Failure> {
    let user = format!("cli:{}", rustix::process::getuid().as_raw());
    let correlation_id = Uuid::now_v7().to_string();
    let actor = Actor::new(&user, &correlation_id);
    let row = store::retry(&app.database.pool, id, actor).await?;
    if global.json {
        return output::print_json(&json!({ "id": row.id, "state": row.state }));
    }
    output::print(&format!("{} is taken up again by the daemon that watches `{}`", row.name, row.folder))
}

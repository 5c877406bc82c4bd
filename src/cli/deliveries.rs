//! `kopru deliveries …`: what is told to others, and what came of it.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::{actor::actor, failure::Failure, output, run::Global};
use crate::{
    app::App,
    audit::Actor,
    hub::{
        deliveries::{
            catch_up,
            list::{self, DeliveryFilter},
            manage::{self, ManageError},
            targets,
        },
        states::DeliveryState,
    },
    transaction,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List them, newest first
    List(ListArgs),
    /// One delivery with its attempts and its document
    Show {
        /// From `kopru deliveries list`
        id: Uuid,
    },
    /// Try deliveries again now: dead ones as they are, others before their time
    Replay {
        /// From `kopru deliveries list`
        #[arg(required = true)]
        ids: Vec<Uuid>,
    },
    /// Call deliveries off for good; what was blocked behind them goes on
    Cancel {
        /// From `kopru deliveries list`
        #[arg(required = true)]
        ids: Vec<Uuid>,
        /// Why, for whoever looks for them later
        #[arg(long)]
        reason: String,
    },
    /// Tell a target what happened while its configuration left that out; without --yes only how much it would be
    CatchUp {
        /// From `kopru deliveries targets`
        target: String,
        /// Only what happened since then (RFC 3339)
        #[arg(long, value_name = "TIME")]
        since: Option<DateTime<Utc>>,
        /// What was called off or discarded as well; it is looked for over there first
        #[arg(long)]
        called_off: bool,
        /// Do it
        #[arg(long)]
        yes: bool,
    },
    /// Who is told of what: state, and how much waits
    Targets,
    /// Stop telling a target; what is for it waits
    Pause {
        /// From `kopru deliveries targets`
        target: String,
        /// Why, for whoever looks later
        #[arg(long, default_value = "paused by hand")]
        reason: String,
    },
    /// Tell a paused target again
    Resume {
        /// From `kopru deliveries targets`
        target: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only to this target, `mail`
    #[arg(long)]
    target: Option<String>,
    /// received, working, waiting, held, blocked, done, superseded, dead, discarded or cancelled
    #[arg(long)]
    state: Option<String>,
    /// Only of this type, `order.confirmed` or `mail.invitation`
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// By what a person knows it: the address of a mail
    #[arg(long)]
    label: Option<String>,
    /// Only of this kind of record, `order`
    #[arg(long)]
    aggregate: Option<String>,
    /// Only of the record with this id
    #[arg(long, value_name = "ID", requires = "aggregate")]
    record: Option<i64>,
    /// Only of this request or run
    #[arg(long)]
    correlation_id: Option<String>,
    /// Only what was made since then (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// `nextCursor` of the page before
    #[arg(long)]
    cursor: Option<Uuid>,
}

impl From<ManageError> for Failure {
    fn from(error: ManageError) -> Failure {
        match error {
            ManageError::NoReason => Failure::Usage(error.to_string()),
            _ => Failure::Failed(error.to_string()),
        }
    }
}

pub(super) async fn deliveries(global: &Global, command: Command) -> Result<(), Failure> {
    let app = global.open().await?;
    let outcome = match command {
        Command::List(args) => list(global, &app, args).await,
        Command::Show { id } => show(global, &app, id).await,
        Command::Targets => targets(global, &app).await,
        Command::CatchUp { target, since, called_off, yes } => {
            catch_up(global, &app, &target, catch_up::Wanted { since, called_off }, yes).await
        }
        command => change(global, &app, command).await,
    };
    App::close(app).await;
    outcome
}

async fn change(global: &Global, app: &App, command: Command) -> Result<(), Failure> {
    let (name, correlation_id) = (actor(), Uuid::now_v7().to_string());
    let by = Actor::new(&name, &correlation_id);
    let db = &app.database.pool;
    let (count, told) = match command {
        Command::Replay { ids } => (manage::replay(db, by, &ids).await?, "tried again"),
        Command::Cancel { ids, reason } => {
            let done = manage::cancel(db, by, &ids, &reason).await?;
            (usize::try_from(done).unwrap_or(usize::MAX), "called off")
        }
        Command::Pause { target, reason } => {
            (usize::from(manage::set_paused(db, by, &target, Some(&reason)).await?), "paused")
        }
        Command::Resume { target } => (usize::from(manage::set_paused(db, by, &target, None).await?), "resumed"),
        Command::List(_) | Command::Show { .. } | Command::Targets | Command::CatchUp { .. } => return Ok(()),
    };
    match global.json {
        true => output::print_json(&json!({ "affected": count })),
        false => output::print(&format!("{count} {told}")),
    }
}

async fn catch_up(
    global: &Global,
    app: &App,
    target: &str,
    wanted: catch_up::Wanted,
    yes: bool,
) -> Result<(), Failure> {
    let (name, correlation_id) = (actor(), Uuid::now_v7().to_string());
    let engine = app.engine()?;
    let mut tx = transaction::begin(&app.database.pool).await.map_err(ManageError::from)?;
    if yes {
        let by = Actor::new(&name, &correlation_id);
        let told = catch_up::start(&mut tx, by, &engine.targets, target, wanted).await?;
        tx.commit().await.map_err(ManageError::from)?;
        return match global.json {
            true => output::print_json(&json!({ "told": told })),
            false => output::print(&format!("{told} go out now")),
        };
    }
    let plan = catch_up::plan(&mut tx, &engine.targets, target, wanted).await?;
    if global.json {
        return output::print_json(&plan);
    }
    let cells: Vec<Vec<String>> = plan
        .shares
        .iter()
        .map(|share| {
            let figures = [share.count, share.called_off, share.not_kept].map(|figure| figure.to_string());
            let oldest = share.oldest.map_or_else(|| "-".to_owned(), output::at);
            [vec![share.kind.clone()], figures.to_vec(), vec![oldest]].concat()
        })
        .collect();
    if !cells.is_empty() {
        output::print(&output::table(&["EVENT", "UNTOLD", "CALLED OFF", "TOO OLD", "OLDEST (UTC)"], &cells))?;
    }
    let more = if plan.total > 0 { "; say --yes to tell it" } else { "" };
    output::print(&format!("{} are meant{more}", plan.total))
}

async fn list(global: &Global, app: &App, args: ListArgs) -> Result<(), Failure> {
    if let Some(state) = &args.state
        && DeliveryState::parse(state).is_none()
    {
        let known: Vec<_> = DeliveryState::ALL.iter().map(|state| state.as_str()).collect();
        return Err(Failure::Usage(format!("`{state}` is no state of a delivery; known are {}", known.join(", "))));
    }
    let filter = DeliveryFilter {
        target: args.target,
        state: args.state,
        kind: args.kind,
        label: args.label,
        aggregate: args.aggregate,
        aggregate_id: args.record,
        correlation_id: args.correlation_id,
        since: args.since,
    };
    let rows = list::list(&app.database.pool, &filter, args.cursor, args.limit).await?;
    let next =
        rows.last().filter(|_| i64::try_from(rows.len()).is_ok_and(|count| count == args.limit)).map(|row| row.id);
    if global.json {
        return output::print_json(&json!({ "items": rows, "nextCursor": next }));
    }
    if rows.is_empty() {
        return output::print("no deliveries");
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let record = row.aggregate_id.map(|id| format!("{} {id}", row.aggregate));
            vec![
                row.id.to_string(),
                row.created_at.format("%F %T").to_string(),
                row.state.clone(),
                row.target.clone(),
                row.kind.clone(),
                row.label.clone().or(record).unwrap_or_default(),
                row.detail.clone().or_else(|| row.receipt.clone()).unwrap_or_default(),
            ]
        })
        .collect();
    output::print(&output::table(&["ID", "MADE (UTC)", "STATE", "TARGET", "TYPE", "OF", "NOTE"], &cells))?;
    if let Some(next) = next {
        eprintln!("more: --cursor {next}");
    }
    Ok(())
}

async fn show(global: &Global, app: &App, id: Uuid) -> Result<(), Failure> {
    let Some(detail) = list::show(&app.database.pool, id).await? else {
        return Err(Failure::Failed(format!("there is no delivery {id}; its history may have been trimmed")));
    };
    if global.json {
        return output::print_json(&detail);
    }
    let row = &detail.delivery;
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut text = format!(
        "delivery  {}\nstate     {}\ntarget    {}\ntype      {}\nof        {} {} (revision {})\nlabel     {}\nmade      {}\n\
         due       {}\nfinished  {}\nreceipt   {}\nletter    {}\nbehind it {}\n",
        row.id,
        row.state,
        row.target,
        row.kind,
        row.aggregate,
        row.aggregate_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        row.revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string()),
        dash(&row.label),
        row.created_at,
        row.due_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
        row.finished_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
        dash(&row.receipt),
        row.dead_letter_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        detail.waiting_behind,
    );
    if let Some(why) = &row.detail {
        text.push_str(&format!("why       {why}\n"));
    }
    for attempt in &detail.attempts_made {
        text.push_str(&format!(
            "attempt {} {} {} {}\n",
            attempt.number,
            attempt.started_at.format("%F %T"),
            attempt.outcome,
            attempt.detail.as_deref().unwrap_or("")
        ));
        for (what, said) in [("asked", &attempt.asked), ("answered", &attempt.answered)] {
            if let Some(said) = said {
                text.push_str(&format!("  {what:<8} {said}\n"));
            }
        }
    }
    match &detail.payload {
        Some(payload) => text.push_str(&format!("\n{payload:#}\n")),
        None => text.push_str("\n(the document is gone: retention)\n"),
    }
    output::print(&text)
}

async fn targets(global: &Global, app: &App) -> Result<(), Failure> {
    let rows = targets::list(&app.database.pool).await?;
    if global.json {
        return output::print_json(&json!({ "items": rows }));
    }
    if rows.is_empty() {
        return output::print("no targets: a daemon writes down what is configured when it starts");
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let state = match (&row.paused_cause, row.breaker.as_str()) {
                (Some(cause), _) => format!("paused ({cause})"),
                (None, "closed") => "on".to_owned(),
                (None, _) => "down".to_owned(),
            };
            let oldest = row.oldest.map_or_else(|| "-".to_owned(), |at| at.format("%F %T").to_string());
            let figures = [row.open, row.held, row.blocked, row.dead].map(|figure| figure.to_string());
            let note = row.paused_reason.clone().unwrap_or_default();
            [vec![row.name.clone(), row.kind.clone(), state], figures.to_vec(), vec![oldest, note]].concat()
        })
        .collect();
    let head = ["TARGET", "KIND", "STATE", "OPEN", "HELD", "BLOCKED", "DEAD", "OLDEST (UTC)", "NOTE"];
    output::print(&output::table(&head, &cells))
}

//! `kopru dead-letters …`: what could not go in, and mending it.

mod filter;
mod plans;
mod show;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use self::{filter::FilterArgs, plans::ReplaysCommand};
use super::{actor::actor, failure::Failure, output, run::Global};
use crate::{
    app::App,
    audit::Actor,
    hub::{
        daemons,
        dead_letters::{self, Action, EditError, PlanError},
        engine::Engine,
        retention, worker,
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the open ones, newest first
    List {
        #[command(flatten)]
        filter: Box<FilterArgs>,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// `nextCursor` of the page before
        #[arg(long)]
        cursor: Option<Uuid>,
        /// Count all that the filters name, not only the first 10,000
        #[arg(long)]
        count: bool,
    },
    /// One row for all that failed alike, the largest group first
    Groups {
        #[command(flatten)]
        filter: Box<FilterArgs>,
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
    },
    /// One letter: its payload with the part that failed marked, what today's mapping makes of it, what to do
    Show {
        /// From `kopru dead-letters list`
        id: Uuid,
    },
    /// Try letters again with today's mapping; by filters: shows the plan first and asks
    Replay {
        /// Letters; none: those that the filters or --all name
        ids: Vec<Uuid>,
        /// Replay this document instead of the stored one (a single letter); it is mapped before it is taken
        #[arg(long, value_name = "FILE")]
        edit: Option<PathBuf>,
        #[command(flatten)]
        filter: Box<FilterArgs>,
        /// Every letter, or every one that the other filters name
        #[arg(long)]
        all: bool,
        /// Letters a second, `200/s`
        #[arg(long, value_name = "N/s", value_parser = rate)]
        rate: Option<f32>,
        /// Go on without being asked
        #[arg(long)]
        yes: bool,
    },
    /// Replays and discards by filter: what is planned, how far it is
    #[command(subcommand)]
    Replays(ReplaysCommand),
    /// Put letters aside for good; by filters: shows the plan first and asks
    Discard {
        /// Letters; none: those that the filters or --all name
        ids: Vec<Uuid>,
        /// Why; it is kept with the letter
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        filter: Box<FilterArgs>,
        /// Every letter, or every one that the other filters name
        #[arg(long)]
        all: bool,
        /// Go on without being asked
        #[arg(long)]
        yes: bool,
    },
}

fn rate(text: &str) -> Result<f32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse::<f32>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("not a number of letters a second above 0, as in 200/s".to_owned()),
    }
}

pub(super) async fn dead_letters(global: &Global, command: Command) -> Result<(), Failure> {
    let app = global.open().await?;
    let outcome = work(global, &app, command).await;
    App::close(app).await;
    outcome
}

async fn work(global: &Global, app: &App, command: Command) -> Result<(), Failure> {
    let pool = &app.database.pool;
    let (name, correlation_id) = (actor(), Uuid::now_v7().to_string());
    let by = Actor::new(&name, &correlation_id);
    match command {
        Command::List { filter, limit, cursor, count } => {
            show::list(global, pool, &filter.into_filter()?, limit, cursor, count).await
        }
        Command::Groups { filter, limit } => show::groups(global, pool, &filter.into_filter()?, limit).await,
        Command::Show { id } => show::one(global, &app.engine()?, id).await,
        Command::Replay { ids, edit, filter, all, rate, yes } => {
            let engine = app.engine()?;
            if !ids.is_empty() || edit.is_some() {
                let told = "letters named one by one are replayed as they are: leave the filters, --all and --rate out";
                named_alone(filter.is_empty() && !all && rate.is_none(), told)?;
                return replay(global, &engine, by, &ids, edit).await;
            }
            let filter = chosen(filter, all)?;
            #[expect(clippy::cast_possible_truncation, reason = "a rate of letters")]
            let rate = rate.unwrap_or(engine.settings.release_per_second as f32);
            plans::propose(global, &engine, by, Action::Replay, &filter, rate, yes).await
        }
        Command::Replays(command) => plans::replays(global, &app.engine()?, by, command).await,
        Command::Discard { ids, reason, filter, all, yes } => {
            let action = Action::Discard { reason: &reason };
            if ids.is_empty() {
                let (engine, filter) = (app.engine()?, chosen(filter, all)?);
                return plans::propose(global, &engine, by, action, &filter, plans::DISCARDS_PER_SECOND, yes).await;
            }
            named_alone(filter.is_empty() && !all, "name letters, or what they have in common, not both")?;
            let done = dead_letters::discard(pool, by, &ids, &reason).await?;
            told(global, "discarded", done, ids.len() as u64)
        }
    }
}

fn named_alone(alone: bool, text: &str) -> Result<(), Failure> {
    if alone { Ok(()) } else { Err(Failure::Usage(text.to_owned())) }
}

/// What the filters name; all of them only when it was said.
fn chosen(filter: Box<FilterArgs>, all: bool) -> Result<dead_letters::Filter, Failure> {
    if filter.is_empty() && !all {
        let text = "name letters, or what they have in common (--reason-code, --stream …), or --all";
        return Err(Failure::Usage(text.to_owned()));
    }
    filter.into_filter()
}

async fn replay(
    global: &Global,
    engine: &Engine,
    by: Actor<'_>,
    ids: &[Uuid],
    edit: Option<PathBuf>,
) -> Result<(), Failure> {
    let queued = match edit {
        Some(path) => {
            let [id] = ids else { return Err(Failure::Usage("--edit goes with exactly one letter".to_owned())) };
            let document = std::fs::read(&path)
                .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?;
            dead_letters::edit(engine, by, *id, &document).await?;
            1
        }
        None => dead_letters::replay(&engine.pool, by, ids).await?.len() as u64,
    };
    work_off(engine).await?;
    told(global, "queued for replay", queued, ids.len() as u64)
}

/// Beside a daemon what was queued is its work; alone it is done here. Answers whether it was done.
pub(super) async fn work_off(engine: &Engine) -> Result<bool, Failure> {
    if daemons::alive(&engine.pool, engine.settings.lease).await? > 0 {
        return Ok(false);
    }
    retention::round_now(engine).await?;
    while worker::turn(engine).await? > 0 {}
    Ok(true)
}

fn told(global: &Global, what: &str, done: u64, meant: u64) -> Result<(), Failure> {
    if global.json {
        output::print_json(&json!({ "done": done, "meant": meant }))?;
    } else {
        output::print(&format!("{done} of {meant} letters {what}"))?;
    }
    if done < meant {
        eprintln!(
            "kopru: the others are resolved, being replayed, or do not exist; `kopru dead-letters list` shows what is open"
        );
        return Err(Failure::Told(1));
    }
    Ok(())
}

impl From<EditError> for Failure {
    fn from(error: EditError) -> Failure {
        match error {
            EditError::Letter(error) => error.into(),
            error => Failure::Failed(error.to_string()),
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Failure {
        match error {
            PlanError::Database(error) => error.into(),
            error @ (PlanError::Rate | PlanError::NoReason) => Failure::Usage(error.to_string()),
            error => Failure::Failed(error.to_string()),
        }
    }
}

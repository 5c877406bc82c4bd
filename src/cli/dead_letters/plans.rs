//! Replays and discards by filter: the plan shown, asked about, followed.

use std::{
    io::{BufRead, IsTerminal, Write},
    time::Duration,
};

use clap::Subcommand;
use indicatif::ProgressBar;
use uuid::Uuid;

use super::{super::output, Failure, Global, work_off};
use crate::{
    audit::Actor,
    hub::{
        daemons,
        dead_letters::{self, Action, Filter, PlanDetail, PlanError, Slice},
        engine::Engine,
        retention, worker,
    },
};

/// Discarding writes a row of history and a row of audit for each, and nothing else.
pub(super) const DISCARDS_PER_SECOND: f32 = 2000.0;

#[derive(Debug, Subcommand)]
pub(in super::super) enum ReplaysCommand {
    /// Newest first
    List {
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// `nextCursor` of the page before
        #[arg(long)]
        cursor: Option<Uuid>,
    },
    /// One plan: what it means and how far it is
    Show {
        /// From `kopru dead-letters replays list`
        id: Uuid,
    },
    /// Let a plan begin that was only shown
    Start {
        /// From `kopru dead-letters replays list`
        id: Uuid,
    },
    /// Stop a plan; what is queued already is worked off
    Cancel {
        /// From `kopru dead-letters replays list`
        id: Uuid,
    },
}

/// Makes a plan, shows it, and lets it begin when that is wanted.
pub(super) async fn propose(
    global: &Global,
    engine: &Engine,
    by: Actor<'_>,
    action: Action<'_>,
    filter: &Filter,
    per_second: f32,
    yes: bool,
) -> Result<(), Failure> {
    let detail = dead_letters::plan(&engine.pool, by, action, filter, per_second).await?;
    let id = detail.plan.id;
    if detail.plan.total == 0 {
        dead_letters::cancel(&engine.pool, by, id).await?;
        let detail = found(engine, id).await?;
        return if global.json { output::print_json(&detail) } else { output::print("no letter is meant") };
    }
    if !yes {
        if global.json {
            return output::print_json(&detail);
        }
        output::print(&page(&detail))?;
        let asked = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if !asked {
            eprintln!("kopru: nothing was done yet: `kopru dead-letters replays start {id}`, or say --yes");
            return Ok(());
        }
        if !agreed(&detail)? {
            dead_letters::cancel(&engine.pool, by, id).await?;
            return output::print("left as it was");
        }
    } else if !global.json {
        output::print(&page(&detail))?;
    }
    begin(global, engine, by, id).await
}

fn agreed(detail: &PlanDetail) -> Result<bool, Failure> {
    eprint!("{} {} letters? [y/N] ", detail.plan.action, detail.plan.total);
    let mut answer = String::new();
    std::io::stderr()
        .flush()
        .and_then(|()| std::io::stdin().lock().read_line(&mut answer))
        .map_err(|error| Failure::Failed(format!("cannot ask: {error}")))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "e" | "evet"))
}

/// Starts a plan: beside a daemon it is the daemon's work, alone it is done here.
async fn begin(global: &Global, engine: &Engine, by: Actor<'_>, id: Uuid) -> Result<(), Failure> {
    let db = &engine.pool;
    dead_letters::start(db, by, id).await?;
    if daemons::alive(db, engine.settings.lease).await? > 0 {
        if !global.json {
            eprintln!("kopru: the daemon works it off; `kopru dead-letters replays show {id}` tells how far it is");
        }
    } else {
        retention::round_now(engine).await?;
        let total = found(engine, id).await?.plan.total;
        let bar = if std::io::stderr().is_terminal() && !global.json {
            ProgressBar::new(u64::try_from(total).unwrap_or(0))
        } else {
            ProgressBar::hidden()
        };
        loop {
            match dead_letters::slice(db).await? {
                Slice::Idle => break,
                Slice::Taken(count) => bar.inc(u64::try_from(count).unwrap_or(0)),
                Slice::NotYet => tokio::time::sleep(Duration::from_millis(50)).await,
            }
            while worker::turn(engine).await? > 0 {}
        }
        work_off(engine).await?;
        bar.finish_and_clear();
    }
    let detail = found(engine, id).await?;
    if global.json { output::print_json(&detail) } else { output::print(&ended(&detail)) }
}

async fn found(engine: &Engine, id: Uuid) -> Result<PlanDetail, Failure> {
    Ok(dead_letters::get(&engine.pool, id).await?.ok_or(PlanError::Unknown(id))?)
}

pub(super) async fn replays(
    global: &Global,
    engine: &Engine,
    by: Actor<'_>,
    command: ReplaysCommand,
) -> Result<(), Failure> {
    match command {
        ReplaysCommand::List { limit, cursor } => {
            let rows = dead_letters::plans(&engine.pool, cursor, limit).await?;
            output::Listed::page(&rows, limit, |row| row.id).print(
                global,
                "no plans",
                &["ID", "ACTION", "STATE", "TAKEN", "DONE", "BY", "MADE (UTC)", "FILTER"],
                |row| {
                    vec![
                        row.id.to_string(),
                        row.action.clone(),
                        row.state.clone(),
                        format!("{}/{}", row.taken, row.total),
                        row.affected.to_string(),
                        row.planned_by.clone(),
                        output::at(row.created_at),
                        row.filter.to_string(),
                    ]
                },
            )
        }
        ReplaysCommand::Show { id } => {
            let detail = found(engine, id).await?;
            if global.json { output::print_json(&detail) } else { output::print(&page(&detail)) }
        }
        ReplaysCommand::Start { id } => begin(global, engine, by, id).await,
        ReplaysCommand::Cancel { id } => {
            dead_letters::cancel(&engine.pool, by, id).await?;
            let detail = found(engine, id).await?;
            if global.json { output::print_json(&detail) } else { output::print(&ended(&detail)) }
        }
    }
}

fn page(detail: &PlanDetail) -> String {
    let plan = &detail.plan;
    let mut text = format!(
        "plan         {}\naction       {}\nstate        {}\nletters      {} of {} taken, {} done\nrate         {}/s, about {} \
         s to go\nfilter       {}\n",
        plan.id,
        plan.action,
        plan.state,
        plan.taken,
        plan.total,
        plan.affected,
        plan.per_second,
        detail.estimated_secs,
        plan.filter
    );
    if let Some(reason) = &plan.reason {
        text.push_str(&format!("reason       {reason}\n"));
    }
    let now = detail.outcome;
    text.push_str(&format!(
        "of them      {} resolved, {} being replayed, {} open\n\n",
        now.resolved, now.replaying, now.dead
    ));
    let cells: Vec<Vec<String>> = detail
        .shares
        .iter()
        .map(|share| {
            vec![
                share.count.to_string(),
                format!("{}.{}", share.connector, share.stream.as_deref().unwrap_or("-")),
                share.cause.clone(),
                share.reason.clone(),
            ]
        })
        .collect();
    text.push_str(&output::table(&["LETTERS", "STREAM", "CAUSE", "REASON"], &cells));
    text
}

fn ended(detail: &PlanDetail) -> String {
    let (plan, now) = (&detail.plan, detail.outcome);
    format!(
        "{} of {} letters taken ({}): {} resolved, {} being replayed, {} open",
        plan.taken, plan.total, plan.state, now.resolved, now.replaying, now.dead
    )
}

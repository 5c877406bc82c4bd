//! `kopru dead-letters …`: what could not go in, and mending it.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::{failure::Failure, output, run::Global};
use crate::{
    app::App,
    hub::dead_letters::{self, Filter},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the open ones, newest first
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// `nextCursor` of the page before
        #[arg(long)]
        cursor: Option<Uuid>,
    },
    /// One letter with its payload
    Show {
        /// From `kopru dead-letters list`
        id: Uuid,
    },
    /// Try letters again with today's mapping
    Replay {
        /// Letters; none: those that --filter or --all name
        ids: Vec<Uuid>,
        /// Replay this document instead of the stored one (a single letter)
        #[arg(long, value_name = "FILE")]
        edit: Option<PathBuf>,
        #[command(flatten)]
        filter: FilterArgs,
        /// Replay every letter, or every one that the other filters name
        #[arg(long)]
        all: bool,
    },
    /// Put letters aside for good
    Discard {
        /// Letters
        #[arg(required = true)]
        ids: Vec<Uuid>,
        /// Why; it is kept with the letter
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args, Default)]
pub(super) struct FilterArgs {
    /// Only of this instance, `logo`
    #[arg(long)]
    connector: Option<String>,
    /// Only of this stream, `items`
    #[arg(long)]
    stream: Option<String>,
    /// Only of this entity, `product`
    #[arg(long)]
    entity: Option<String>,
    /// Only of this cause: data, remote, credential, contract or ours
    #[arg(long)]
    cause: Option<String>,
    /// Only of this reason, `missing_field`
    #[arg(long = "reason-code")]
    reason_code: Option<String>,
    /// Letters that failed alike share it
    #[arg(long)]
    fingerprint: Option<String>,
    /// Only of the record with this external code
    #[arg(long)]
    code: Option<String>,
    /// Only what failed since then (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// The same filters in one word: `reason=too_long,stream=items`
    #[arg(long = "filter", value_name = "KEY=VALUE,…")]
    terms: Option<String>,
}

impl FilterArgs {
    fn into_filter(self) -> Result<Filter, Failure> {
        let mut filter = Filter {
            connector: self.connector,
            stream: self.stream,
            entity: self.entity,
            cause: self.cause,
            reason: self.reason_code,
            fingerprint: self.fingerprint,
            code: self.code,
            since: self.since,
        };
        for term in self.terms.iter().flat_map(|terms| terms.split(',')).filter(|term| !term.is_empty()) {
            let Some((key, value)) = term.split_once('=') else {
                return Err(Failure::Usage(format!("`{term}` is not KEY=VALUE, as in --filter reason=too_long")));
            };
            let value = Some(value.to_owned());
            match key {
                "connector" => filter.connector = value,
                "stream" => filter.stream = value,
                "entity" => filter.entity = value,
                "cause" => filter.cause = value,
                "reason" => filter.reason = value,
                "fingerprint" => filter.fingerprint = value,
                "code" => filter.code = value,
                _ => {
                    let known = ["connector", "stream", "entity", "cause", "reason", "fingerprint", "code"];
                    return Err(Failure::Usage(format!(
                        "--filter: `{key}`: {}",
                        kopru_sdk::settings::unknown_key(key, &known)
                    )));
                }
            }
        }
        Ok(filter)
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
    match command {
        Command::List { filter, limit, cursor } => {
            let filter = filter.into_filter()?;
            let rows = dead_letters::list(pool, &filter, cursor, limit).await?;
            let total = dead_letters::count(pool, &filter).await?;
            let full = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
            let next = rows.last().filter(|_| full).map(|row| row.id);
            if global.json {
                return output::print_json(&json!({ "items": rows, "totalCount": total, "nextCursor": next }));
            }
            if rows.is_empty() {
                return output::print("no dead letters");
            }
            let cells: Vec<Vec<String>> = rows
                .iter()
                .map(|row| {
                    vec![
                        row.id.to_string(),
                        row.created_at.format("%F %T").to_string(),
                        format!("{}.{}", row.connector, row.stream.as_deref().unwrap_or("-")),
                        row.code.clone().unwrap_or_default(),
                        row.cause.clone(),
                        row.reason.clone(),
                        row.field.clone().unwrap_or_default(),
                        row.detail.clone(),
                    ]
                })
                .collect();
            let header = ["ID", "SINCE (UTC)", "STREAM", "CODE", "CAUSE", "REASON", "FIELD", "DETAIL"];
            output::print(&output::table(&header, &cells))?;
            eprintln!("{} of {total}", rows.len());
            if let Some(next) = next {
                eprintln!("more: --cursor {next}");
            }
            Ok(())
        }
        Command::Show { id } => {
            let Some(detail) = dead_letters::show(pool, id).await? else {
                return Err(Failure::Failed(format!("there is no open dead letter {id}; it may have been resolved")));
            };
            if global.json {
                return output::print_json(&detail);
            }
            let letter = &detail.letter;
            output::print(&format!(
                "letter       {}\nstate        {}\nstream       {}.{}\ncode         {}\ncause        {}\nreason       {}\n\
                 field        {}\nvalue        {}\ndetail       {}\nseen         {} times, {} attempts\nfingerprint  {} \
                 ({} open letters failed alike)\nmapping      {} {}\nmessage      {}\n\n{}\n",
                letter.id,
                letter.state,
                letter.connector,
                letter.stream.as_deref().unwrap_or("-"),
                letter.code.as_deref().unwrap_or("-"),
                letter.cause,
                letter.reason,
                letter.field.as_deref().unwrap_or("-"),
                letter.value.as_deref().unwrap_or("-"),
                letter.detail,
                letter.seen,
                letter.attempts,
                letter.fingerprint,
                detail.alike,
                letter.mapping.as_deref().unwrap_or("-"),
                letter.mapping_hash.as_deref().map_or("", |hash| &hash[..hash.len().min(12)]),
                letter.message_id,
                detail.payload
            ))
        }
        Command::Replay { ids, edit, filter, all } => replay(global, app, ids, edit, filter, all).await,
        Command::Discard { ids, reason } => {
            let done = dead_letters::discard(pool, &ids, &actor(), &reason).await?;
            told(global, "discarded", done, ids.len() as u64)
        }
    }
}

async fn replay(
    global: &Global,
    app: &App,
    ids: Vec<Uuid>,
    edit: Option<PathBuf>,
    filter: FilterArgs,
    all: bool,
) -> Result<(), Failure> {
    let pool = &app.database.pool;
    if ids.is_empty() {
        let has_terms = filter.terms.is_some();
        let filter = filter.into_filter()?;
        if !has_terms && !all {
            let text = "name letters, or --filter KEY=VALUE, or --all for every letter that the other filters name";
            return Err(Failure::Usage(text.to_owned()));
        }
        let meant = dead_letters::count(pool, &filter).await?;
        let queued = dead_letters::replay_matching(pool, &filter).await?;
        work_off(app).await?;
        return told(global, "queued for replay", queued, u64::try_from(meant).unwrap_or(0));
    }
    let edited = match edit {
        Some(_) if ids.len() != 1 => {
            return Err(Failure::Usage("--edit goes with exactly one letter".to_owned()));
        }
        Some(path) => Some(
            std::fs::read(&path).map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?,
        ),
        None => None,
    };
    let queued = dead_letters::replay(pool, &ids, edited.as_deref()).await?;
    work_off(app).await?;
    told(global, "queued for replay", queued.len() as u64, ids.len() as u64)
}

/// Beside a daemon the replays are its work; alone they are done here.
pub(super) async fn work_off(app: &App) -> Result<(), Failure> {
    let engine = app.engine()?;
    if crate::hub::daemons::alive(&engine.pool, engine.settings.lease).await? == 0 {
        crate::hub::retention::round_now(&engine).await?;
        while crate::hub::worker::turn(&engine).await? > 0 {}
    }
    Ok(())
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

/// Who acts, for the letter's history.
pub(super) fn actor() -> String {
    format!("cli:{}", rustix::process::getuid().as_raw())
}

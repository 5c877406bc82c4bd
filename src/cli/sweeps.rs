//! `kopru sync sweeps …`: what a complete pass did not find any more, and deciding about it.

use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::{actor::actor, failure::Failure, output, run::Global};
use crate::{
    audit::Actor,
    hub::{
        daemons,
        engine::Engine,
        sweeps::{self, SweepDetail, SweepError},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum SweepsCommand {
    /// Newest first
    List {
        /// Only in this state: asked, approved, done, rejected, undone, superseded
        #[arg(long)]
        state: Option<String>,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// `nextCursor` of the page before
        #[arg(long)]
        cursor: Option<Uuid>,
    },
    /// One sweep with the records that it means
    Show {
        /// From `kopru sync sweeps list`
        id: Uuid,
    },
    /// Let a sweep deactivate what it asked about
    Approve {
        /// From `kopru sync sweeps list`
        id: Uuid,
    },
    /// Keep what a sweep asked about, until the records' next documents
    Reject {
        /// From `kopru sync sweeps list`
        id: Uuid,
    },
    /// Make active again what a sweep deactivated and nothing has changed since
    Undo {
        /// From `kopru sync sweeps list`
        id: Uuid,
    },
}

pub(super) async fn sweeps(global: &Global, engine: &Engine, command: SweepsCommand) -> Result<(), Failure> {
    let db = &engine.pool;
    let (name, correlation_id) = (actor(), Uuid::now_v7().to_string());
    let by = Actor::new(&name, &correlation_id);
    match command {
        SweepsCommand::List { state, limit, cursor } => {
            let rows = sweeps::list(db, state.as_deref(), cursor, limit).await?;
            output::Listed::page(&rows, limit, |row| row.id).print(
                global,
                "no sweeps",
                &["ID", "MADE (UTC)", "STREAM", "STATE", "NOT FOUND", "DEACTIVATED", "NOTE"],
                |row| {
                    vec![
                        row.id.to_string(),
                        output::at(row.created_at),
                        format!("{}.{}", row.connector, row.stream),
                        row.state.clone(),
                        format!("{} of {}", row.candidates, row.total),
                        row.deactivated.to_string(),
                        row.asks.clone().or_else(|| row.decided_by.clone()).unwrap_or_default(),
                    ]
                },
            )
        }
        SweepsCommand::Show { id } => tell(global, engine, id).await,
        SweepsCommand::Approve { id } => {
            sweeps::approve(db, by, id).await?;
            if daemons::alive(db, engine.settings.lease).await? == 0 {
                let of = sweeps::get(db, id).await?.ok_or(SweepError::Unknown(id))?.sweep;
                sweeps::advance_stream(engine, &of.connector, &of.stream).await.map_err(SweepError::Apply)?;
            }
            tell(global, engine, id).await
        }
        SweepsCommand::Reject { id } => {
            sweeps::reject(db, by, id).await?;
            tell(global, engine, id).await
        }
        SweepsCommand::Undo { id } => {
            let undone = sweeps::undo(engine, by, id).await?;
            if global.json {
                return output::print_json(&json!({ "undone": undone }));
            }
            output::print(&format!("{undone} records are active again; the others have changed since"))
        }
    }
}

async fn tell(global: &Global, engine: &Engine, id: Uuid) -> Result<(), Failure> {
    let detail = sweeps::get(&engine.pool, id).await?.ok_or(SweepError::Unknown(id))?;
    if global.json { output::print_json(&detail) } else { output::print(&page(&detail)) }
}

fn page(detail: &SweepDetail) -> String {
    let sweep = &detail.sweep;
    let mut text = format!(
        "sweep        {}\nstream       {}.{}\nstate        {}\nnot found    {} of {} {} records ({} were seen)\ndeactivated  \
         {}\n",
        sweep.id,
        sweep.connector,
        sweep.stream,
        sweep.state,
        sweep.candidates,
        sweep.total,
        sweep.entity,
        sweep.seen,
        sweep.deactivated
    );
    if let Some(why) = &sweep.asks {
        text.push_str(&format!("asks because {why}\n"));
    }
    if let Some(by) = &sweep.decided_by {
        text.push_str(&format!("decided by   {by}\n"));
    }
    let cells: Vec<Vec<String>> = detail
        .items
        .iter()
        .map(|item| {
            vec![
                item.code.clone(),
                item.internal_id.to_string(),
                item.outcome.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    text.push('\n');
    text.push_str(&output::table(&["CODE", "ID", "BECAME"], &cells));
    text
}

impl From<SweepError> for Failure {
    fn from(error: SweepError) -> Failure {
        match error {
            SweepError::Database(error) => error.into(),
            error => Failure::Failed(error.to_string()),
        }
    }
}

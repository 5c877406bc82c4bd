//! `kopru reconcile`: both sides compared, and what was found.

use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::{
    failure::Failure,
    output,
    run::{Global, interruptible},
    sync,
};
use crate::{
    app::App,
    commerce::orders::source::{self, DifferenceFilter},
    hub::{
        engine::Engine,
        reconcile::{self, AskError, Report},
        states::RunState,
    },
};

/// Findings that are shown on a terminal.
const SHOWN: i64 = 50;
const MOST: i64 = 100_000;

#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    /// CONNECTOR.STREAM, for example logo.items; without one: the reconciliations there have been
    #[arg(conflicts_with = "show")]
    target: Option<String>,
    /// Write what differs, and what is missing here, as its source has it
    #[arg(long, requires = "target")]
    repair: bool,
    /// One that was made, by its id
    #[arg(long, value_name = "ID")]
    show: Option<Uuid>,
    /// Where orders of an ERP say something else than ours
    #[arg(long, conflicts_with_all = ["target", "show", "repair"])]
    differences: bool,
}

pub(super) async fn run(global: &Global, args: ReconcileArgs) -> Result<(), Failure> {
    let app = interruptible(global.open()).await?;
    let outcome = match app.engine() {
        Ok(engine) => match (&args.target, args.show) {
            // It holds leases, which a signal must not leave behind.
            (Some(target), _) => start(global, &engine, target, args.repair).await,
            (None, Some(id)) => interruptible(show(global, &engine, id)).await,
            (None, None) if args.differences => interruptible(differences(global, &engine)).await,
            (None, None) => interruptible(list(global, &engine)).await,
        },
        Err(error) => Err(error.into()),
    };
    App::close(app).await;
    outcome
}

async fn start(global: &Global, engine: &Engine, target: &str, repair: bool) -> Result<(), Failure> {
    let (connector, stream) = sync::split(target)?;
    let id = reconcile::ask(&engine.pool, engine, connector, stream, repair).await.map_err(|error| match error {
        AskError::Unknown(error) => Failure::Usage(error.to_string()),
        AskError::Database(error) => error.into(),
    })?;
    let run = sync::work_off(global, engine, id, target).await?;
    // One that was broken off goes on under another id.
    show(global, engine, run.id).await?;
    if run.state == RunState::Done.as_str() {
        return Ok(());
    }
    let error = run.error.unwrap_or_else(|| run.state.clone());
    Err(Failure::Failed(format!("{target}: {error}")))
}

async fn show(global: &Global, engine: &Engine, id: Uuid) -> Result<(), Failure> {
    let Some(report) = reconcile::show(&engine.pool, id).await? else {
        return Err(Failure::Failed(format!("there is no reconciliation {id}; `kopru reconcile` lists them")));
    };
    let findings = reconcile::findings(&engine.pool, id, None, if global.json { MOST } else { SHOWN }).await?;
    if global.json {
        return output::print_json(&json!({ "report": report, "findings": findings }));
    }
    output::print(&line(&report))?;
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| {
            let fields = finding.fields.as_ref().map(ToString::to_string).or_else(|| finding.detail.clone());
            vec![finding.kind.clone(), finding.code.clone(), fields.unwrap_or_default()]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    output::print(&output::table(&["FOUND", "CODE", "WHAT"], &rows))?;
    if findings.len() as i64 == SHOWN {
        eprintln!("more: --json shows all that are kept");
    }
    Ok(())
}

fn line(report: &Report) -> String {
    format!(
        "{} {}.{} {}{}: {} checked: {} the same, {} differ, {} missing here, {} missing there, {} there twice, {} refused",
        report.id,
        report.connector,
        report.stream,
        report.state,
        if report.repairs { " (repaired)" } else { "" },
        report.checked,
        report.same,
        report.differing,
        report.missing_here,
        report.missing_there,
        report.repeated,
        report.refused,
    )
}

async fn list(global: &Global, engine: &Engine) -> Result<(), Failure> {
    let reports = reconcile::list(&engine.pool, None, None, SHOWN).await?;
    if global.json {
        return output::print_json(&json!({ "items": reports }));
    }
    if reports.is_empty() {
        return output::print("nothing was reconciled yet: kopru reconcile logo.items");
    }
    for report in &reports {
        output::print(&line(report))?;
    }
    Ok(())
}

async fn differences(global: &Global, engine: &Engine) -> Result<(), Failure> {
    let found = source::differences(&engine.pool, DifferenceFilter::default(), MOST).await?;
    if global.json {
        return output::print_json(&json!({ "items": found }));
    }
    if found.is_empty() {
        return output::print("the orders of both sides agree");
    }
    let rows: Vec<Vec<String>> = found
        .into_iter()
        .map(|one| vec![one.number, one.logo_number.unwrap_or_default(), one.field, one.ours, one.theirs])
        .collect();
    output::print(&output::table(&["ORDER", "THEIR NUMBER", "FIELD", "OURS", "THEIRS"], &rows))
}

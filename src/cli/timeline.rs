//! `kopru timeline OBJECT`: everything that touched a business object.

use chrono::{DateTime, Utc};
use clap::Args;

use super::{failure::Failure, output, run::Global};
use crate::{
    app::App,
    hub::timeline::{self, Entry},
};

#[derive(Debug, Args)]
pub(super) struct TimelineArgs {
    /// An order number (ours or LOGO's), SKU, code, tax number, number of an invoice or a return, or a correlation id
    object: String,
    /// How many entries, the newest ones
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// Only what was before that (RFC 3339); `nextCursor` of the page before
    #[arg(long, value_name = "TIME", visible_alias = "cursor")]
    before: Option<DateTime<Utc>>,
}

pub(super) async fn run(global: &Global, args: TimelineArgs) -> Result<(), Failure> {
    let app = global.open().await?;
    let outcome = show(global, &app, args).await;
    App::close(app).await;
    outcome
}

async fn show(global: &Global, app: &App, args: TimelineArgs) -> Result<(), Failure> {
    let name = args.object.trim();
    let found = timeline::timeline(&app.database.pool, name, args.before, args.limit).await?;
    if found.objects.is_empty() && found.items.is_empty() {
        return Err(Failure::Failed(format!(
            "nothing is known of `{name}`: give an order number, SKU, code, tax number, invoice number or correlation id as \
             `kopru messages list` shows them"
        )));
    }
    if global.json {
        return output::print_json(&found);
    }
    for object in &found.objects {
        output::print(&format!("{} {} (id {})", object.kind.as_str(), object.name, object.id))?;
    }
    if found.items.is_empty() {
        return output::print("nothing has touched it, or history has been trimmed");
    }
    let cells: Vec<Vec<String>> = found.items.iter().map(cells).collect();
    output::print(&output::table(&["AT (UTC)", "KIND", "WHAT", "WITH", "OUTCOME", "BY", "DETAIL"], &cells))?;
    if let Some(before) = found.next_cursor {
        eprintln!("more: --before {}", before.to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
    }
    Ok(())
}

fn cells(entry: &Entry) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let detail = entry.detail.as_deref().unwrap_or_default();
    vec![
        output::at(entry.at),
        entry.kind.clone(),
        entry.what.clone(),
        text(&entry.system),
        text(&entry.outcome),
        text(&entry.by),
        detail.chars().take(160).collect(),
    ]
}

//! Letters on the screen.

use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::{super::output, Failure, Global};
use crate::hub::{
    dead_letters::{self, Filter, LetterDetail, Total},
    engine::Engine,
};

pub(super) async fn list(
    global: &Global,
    pool: &PgPool,
    filter: &Filter,
    limit: i64,
    cursor: Option<Uuid>,
    count: bool,
) -> Result<(), Failure> {
    let rows = dead_letters::list(pool, filter, cursor, limit).await?;
    let total = match count {
        true => Total { count: dead_letters::count(pool, filter).await?, exact: true },
        false => dead_letters::tally(pool, filter).await?,
    };
    output::Listed::page(&rows, limit, |row| row.id)
        .with("totalCount", total.count)
        .with("totalIsExact", total.exact)
        .noting(format!("{} of {}{}", rows.len(), if total.exact { "" } else { "more than " }, total.count))
        .print(
            global,
            "no dead letters",
            &["ID", "SINCE (UTC)", "STREAM", "CODE", "CAUSE", "REASON", "FIELD", "DETAIL"],
            |row| {
                vec![
                    row.id.to_string(),
                    output::at(row.created_at),
                    format!("{}.{}", row.connector, row.stream.as_deref().unwrap_or("-")),
                    row.code.clone().unwrap_or_default(),
                    row.cause.clone(),
                    row.reason.clone(),
                    row.field.clone().unwrap_or_default(),
                    row.detail.clone(),
                ]
            },
        )
}

pub(super) async fn groups(global: &Global, pool: &PgPool, filter: &Filter, limit: i64) -> Result<(), Failure> {
    let rows = dead_letters::groups(pool, filter, limit).await?;
    if global.json {
        return output::print_json(&json!({ "items": rows }));
    }
    if rows.is_empty() {
        return output::print("no dead letters");
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.fingerprint.clone(),
                row.count.to_string(),
                output::at(row.first_at),
                output::at(row.last_at),
                format!("{}.{}", row.connector, row.stream.as_deref().unwrap_or("-")),
                row.reason.clone(),
                row.field.clone().unwrap_or_default(),
                row.code.clone().unwrap_or_default(),
                row.detail.clone(),
            ]
        })
        .collect();
    let header =
        ["FINGERPRINT", "COUNT", "FIRST (UTC)", "LAST (UTC)", "STREAM", "REASON", "FIELD", "FOR EXAMPLE", "DETAIL"];
    output::print(&output::table(&header, &cells))
}

pub(super) async fn one(global: &Global, engine: &Engine, id: Uuid) -> Result<(), Failure> {
    let Some(detail) = dead_letters::show(engine, id).await? else {
        return Err(Failure::Failed(format!("there is no open dead letter {id}; it may have been resolved")));
    };
    if global.json {
        return output::print_json(&detail);
    }
    output::print(&page(&detail))
}

fn page(detail: &LetterDetail) -> String {
    let letter = &detail.letter;
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let hash = letter.mapping_hash.as_deref().map_or("", |hash| &hash[..hash.len().min(12)]);
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<12} {value}\n"));
    line("letter", letter.id.to_string());
    line("state", letter.state.clone());
    line("stream", format!("{}.{}", letter.connector, or_dash(&letter.stream)));
    line("code", or_dash(&letter.code));
    line("cause", letter.cause.clone());
    line("reason", letter.reason.clone());
    line("field", or_dash(&letter.field));
    line("value", or_dash(&letter.value));
    line("detail", letter.detail.clone());
    line("seen", format!("{} times, {} attempts", letter.seen, letter.attempts));
    line("fingerprint", format!("{} ({} open letters failed alike)", letter.fingerprint, detail.alike));
    line("mapping", format!("{} {hash}", or_dash(&letter.mapping)));
    line("message", letter.message_id.to_string());
    line("received", letter.received_at.format("%F %T UTC").to_string());
    if let (Some(by), Some(at)) = (&letter.edited_by, detail.edited_at) {
        line("edited", format!("by {by}, {}; what came is in --json", at.format("%F %T UTC")));
    }
    line("next", detail.next.clone());
    text.push('\n');
    text.push_str(&detail.marked);
    if let Some(today) = &detail.today {
        let why = today.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
        text.push_str(&format!("\ntoday's mapping: {}{why}\n", today.fate));
        let rows: Vec<Vec<String>> = today
            .fields
            .iter()
            .map(|field| {
                let outcome = match (&field.reason, &field.value) {
                    (Some(reason), _) => format!("{reason}: {}", field.detail.as_deref().unwrap_or_default()),
                    (None, Some(value)) => value.to_string(),
                    (None, None) => "left as it is".to_owned(),
                };
                vec![field.field.to_owned(), field.source.clone(), or_dash(&field.given), outcome]
            })
            .collect();
        if !rows.is_empty() {
            text.push_str(&output::table(&["FIELD", "SOURCE", "GIVEN", "BECOMES"], &rows));
        }
    }
    if !detail.attempts_made.is_empty() {
        text.push_str("\nattempts:\n");
        for attempt in &detail.attempts_made {
            let (at, why) = (attempt.finished_at.format("%F %T"), attempt.detail.as_deref().unwrap_or(""));
            text.push_str(&format!("  {at}  {}  {}\n", attempt.outcome, why));
        }
    }
    if !detail.siblings.is_empty() {
        text.push_str("\nfailed alike:\n");
        for other in &detail.siblings {
            text.push_str(&format!("  {}  {}  {}\n", other.id, or_dash(&other.code), or_dash(&other.value)));
        }
    }
    if !detail.history.is_empty() {
        text.push_str("\nearlier letters of this record:\n");
        for earlier in &detail.history {
            let note = earlier.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
            text.push_str(&format!(
                "  {}  {} by {}{note}  ({})\n",
                earlier.resolved_at.format("%F %T"),
                earlier.resolution,
                earlier.resolved_by,
                earlier.reason
            ));
        }
    }
    text
}

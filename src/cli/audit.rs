//! `kopru audit …`: who did what, and when; whether the books are whole.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{failure::Failure, output, run::Global};
use crate::{
    app::App,
    audit::{
        self, Filter,
        verify::{self, Noted, What},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what was done, newest first
    List(ListArgs),
    /// Walk the chain that seals the rows: is one changed, missing or moved? Ends with 1 if so
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Begin at this place of the chain, and take what is before it as good
    #[arg(long, value_name = "PLACE", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    from: i64,
    /// A head that an earlier run printed and that was kept elsewhere: the chain must still lead through it
    #[arg(long, value_name = "PLACE:HASH", value_parser = noted)]
    noted: Option<Noted>,
}

fn noted(text: &str) -> Result<Noted, String> {
    let read = || {
        let (place, hash) = text.split_once(':')?;
        let place = place.parse().ok().filter(|place| *place > 0)?;
        let good = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        good.then(|| Noted { place, hash: hash.to_owned() })
    };
    read().ok_or_else(|| "a head is written as its place, a colon and 64 hexadecimal digits".to_owned())
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only by this one: `cli:0`, `api-key:<prefix>`
    #[arg(long)]
    actor: Option<String>,
    /// Only this: `api_key.revoked`
    #[arg(long)]
    action: Option<String>,
    /// Only to this kind of thing: `api_key`, `dead_letter`
    #[arg(long)]
    kind: Option<String>,
    /// Only to this one: an id, a code, a prefix
    #[arg(long)]
    subject: Option<String>,
    /// Only since then (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// `nextCursor` of the page before
    #[arg(long)]
    cursor: Option<Uuid>,
}

pub(super) async fn audit(global: &Global, command: Command) -> Result<(), Failure> {
    let app = global.open().await?;
    let outcome = match command {
        Command::List(args) => list(global, &app, args).await,
        Command::Verify(args) => verify(global, &app, args).await,
    };
    App::close(app).await;
    outcome
}

async fn list(global: &Global, app: &App, args: ListArgs) -> Result<(), Failure> {
    let filter = Filter {
        actor: args.actor,
        action: args.action,
        subject_kind: args.kind,
        subject: args.subject,
        since: args.since,
    };
    let rows = audit::list(&app.database.pool, &filter, args.cursor, args.limit).await?;
    output::Listed::page(&rows, args.limit, |row| row.id).print(
        global,
        "nothing was done",
        &["AT (UTC)", "BY", "WHAT", "TO", "DETAIL"],
        |row| {
            vec![
                output::at(row.at),
                row.actor.clone(),
                row.action.clone(),
                format!("{} {}", row.subject_kind, row.subject),
                row.detail.to_string(),
            ]
        },
    )
}

async fn verify(global: &Global, app: &App, args: VerifyArgs) -> Result<(), Failure> {
    let found = verify::verify(&app.database.pool, args.from, args.noted.as_ref()).await?;
    if global.json {
        output::print_json(&found)?;
    } else {
        let from = if found.from > 1 { format!(" from place {} on", found.from) } else { String::new() };
        let mut lines = vec![format!("{} sealed rows hold{from}", found.verified)];
        if let Some(cut) = &found.cut {
            lines.push(format!(
                "rows up to place {} were old enough to go, on {} UTC",
                cut.place,
                output::at(cut.cut_at)
            ));
        }
        match &found.head {
            Some(head) => lines.push(format!("head: {}:{}", head.place, head.hash)),
            None => lines.push("head: none".to_owned()),
        }
        lines.push(match found.unsealed.oldest_at {
            Some(at) => {
                format!("{} rows wait for their seal, the oldest since {} UTC", found.unsealed.count, output::at(at))
            }
            None => "no row waits for its seal".to_owned(),
        });
        output::print(&lines.join("\n"))?;
    }
    let Some(broken) = found.broken else { return Ok(()) };
    if !global.json {
        let place = broken.place.map_or_else(String::new, |place| format!(" at place {place}"));
        let id = broken.id.map_or_else(String::new, |id| format!(", row {id}"));
        let what = match broken.what {
            What::Changed => "changed",
            What::Missing => "missing",
            What::Moved => "moved",
            What::Unlisted => "unlisted",
        };
        eprintln!(
            "kopru: the audit rows are not whole{place}{id}: {what}: {}; compare with a backup of the time before",
            broken.detail
        );
    }
    Err(Failure::Told(1))
}

//! `kopru webhook-endpoints …`: addresses that are told of events.

use std::{io::IsTerminal as _, time::Duration};

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{actor::actor, failure::Failure, output, run::Global};
use crate::{
    app::App,
    audit::Actor,
    hub::webhooks::{
        EndpointError, WebhookSettings,
        address::{Address, Subscription},
        catalogue,
        change::{self, EndpointChange, NewEndpoint},
        endpoint::{self, Endpoint, ListError},
        replay::{self, Choice, Plan},
        secrets, trial,
    },
    page::PageRequest,
    transaction,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List them: what they want and how they do
    List {
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100))]
        limit: i64,
        /// `nextCursor` of the page before
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Register an address; it is told of what happens from now on
    Add(AddArgs),
    /// One endpoint
    Show {
        /// From `kopru webhook-endpoints list`
        id: i64,
    },
    /// Change what is said; the rest stays
    Set(SetArgs),
    /// Show the secrets that sign for an endpoint, newest first; that is audited
    Secrets {
        /// From `kopru webhook-endpoints list`
        id: i64,
    },
    /// Make a new secret; the old one signs beside it for a while
    Rotate {
        /// From `kopru webhook-endpoints list`
        id: i64,
        /// Hours for which the old secret signs too; 0: not at all [default: [webhooks] overlap]
        #[arg(long, value_name = "HOURS")]
        overlap_hours: Option<u32>,
    },
    /// Send a test event now and show the answer
    Test {
        /// From `kopru webhook-endpoints list`
        id: i64,
    },
    /// Switch an endpoint on; what was held for it goes out
    Enable {
        /// From `kopru webhook-endpoints list`
        id: i64,
    },
    /// Switch an endpoint off; what it was not told yet is held
    Disable {
        /// From `kopru webhook-endpoints list`
        id: i64,
    },
    /// Remove an endpoint with its secrets; what it was not told yet is called off
    Remove {
        /// From `kopru webhook-endpoints list`
        id: i64,
    },
    /// The types of events and what each tells
    Events {
        /// As the page of the documentation
        #[arg(long)]
        markdown: bool,
    },
    /// Tell events of the past again; without --yes only how many it would be
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// https://…
    url: String,
    /// Types of events, `order.*` or `*`; may be given more than once
    #[arg(long = "event", value_name = "TYPE", required = true, value_delimiter = ',')]
    events: Vec<String>,
    /// What it is, for people
    #[arg(long, default_value = "")]
    description: String,
    /// Events of first and full passes as well
    #[arg(long)]
    bulk: bool,
    /// Calls a second [default: [webhooks] rate_per_second]
    #[arg(long, value_name = "N")]
    rate: Option<i32>,
    /// Switched off at first
    #[arg(long)]
    disabled: bool,
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// From `kopru webhook-endpoints list`
    id: i64,
    #[arg(long)]
    url: Option<String>,
    /// In place of those of before; may be given more than once
    #[arg(long = "event", value_name = "TYPE", value_delimiter = ',')]
    events: Option<Vec<String>>,
    #[arg(long)]
    description: Option<String>,
    /// Events of first and full passes as well
    #[arg(long, value_name = "true|false")]
    bulk: Option<bool>,
    /// Calls a second; 0: as the configuration says
    #[arg(long, value_name = "N")]
    rate: Option<i32>,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// From `kopru webhook-endpoints list`
    id: i64,
    /// Events since then (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: DateTime<Utc>,
    /// Events before then (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// Only these types, `order.*`; may be given more than once
    #[arg(long = "event", value_name = "TYPE", value_delimiter = ',')]
    events: Option<Vec<String>>,
    /// Only of this record, as in order:12
    #[arg(long, value_name = "KIND:ID", value_parser = record)]
    record: Option<(String, i64)>,
    /// Only of this request or run
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// Only what never arrived there
    #[arg(long)]
    undelivered: bool,
    /// Do it
    #[arg(long)]
    yes: bool,
}

fn record(text: &str) -> Result<(String, i64), String> {
    let (kind, id) = text.split_once(':').ok_or("write it as KIND:ID, as in order:12")?;
    let id = id.parse().map_err(|_| format!("`{id}` is no id"))?;
    Ok((kind.to_owned(), id))
}

impl From<EndpointError> for Failure {
    fn from(error: EndpointError) -> Failure {
        match error {
            EndpointError::Database(error) => error.into(),
            EndpointError::Unknown(_) | EndpointError::Seal(_) | EndpointError::TooMany(_) => {
                Failure::Failed(error.to_string())
            }
            error => Failure::Usage(error.to_string()),
        }
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Failure {
        match error {
            ListError::Page(bad) => Failure::Usage(bad.to_string()),
            ListError::Database(error) => error.into(),
        }
    }
}

pub(super) async fn webhook_endpoints(global: &Global, command: Command) -> Result<(), Failure> {
    if let Command::Events { markdown } = command {
        return events(global, markdown);
    }
    let app = global.open().await?;
    let outcome = run(global, &app, command).await;
    app.close().await;
    outcome
}

async fn run(global: &Global, app: &App, command: Command) -> Result<(), Failure> {
    let settings = app.webhooks()?;
    let (name, correlation_id) = (actor(), Uuid::now_v7().to_string());
    let desk = Desk { global, app, settings, by: Actor::new(&name, &correlation_id) };
    match command {
        Command::List { limit, cursor } => desk.list(limit, cursor).await,
        Command::Show { id } => desk.show(id).await,
        Command::Add(args) => desk.add(args).await,
        Command::Set(args) => desk.set(args).await,
        Command::Secrets { id } => desk.secrets(id).await,
        Command::Rotate { id, overlap_hours } => desk.rotate(id, overlap_hours).await,
        Command::Test { id } => desk.test(id).await,
        Command::Enable { id } => desk.switch(id, true).await,
        Command::Disable { id } => desk.switch(id, false).await,
        Command::Remove { id } => desk.remove(id).await,
        Command::Replay(args) => desk.replay(args).await,
        Command::Events { markdown } => events(global, markdown),
    }
}

fn events(global: &Global, markdown: bool) -> Result<(), Failure> {
    if markdown {
        return output::print(&catalogue::page());
    }
    let all = catalogue::all();
    if global.json {
        return output::print_json(&json!({ "items": all }));
    }
    let cells: Vec<Vec<String>> =
        all.iter().map(|one| [one.kind, one.object, one.description].map(str::to_owned).to_vec()).collect();
    output::print(&output::table(&["EVENT", "ABOUT", "WHEN"], &cells))
}

struct Desk<'a> {
    global: &'a Global,
    app: &'a App,
    settings: WebhookSettings,
    by: Actor<'a>,
}

impl Desk<'_> {
    fn now(&self) -> DateTime<Utc> {
        self.app.clock.now()
    }

    async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, Failure> {
        Ok(transaction::begin(&self.app.database.pool).await?)
    }

    async fn list(&self, limit: i64, cursor: Option<String>) -> Result<(), Failure> {
        let page = PageRequest::new(Some(limit), cursor).map_err(|bad| Failure::Usage(bad.to_string()))?;
        let found = endpoint::list(&self.app.database.pool, self.now(), &page).await?;
        if self.global.json {
            return output::print_json(&found);
        }
        if found.items.is_empty() {
            return output::print("no endpoints; `kopru webhook-endpoints add URL --event TYPE` registers one");
        }
        let cells: Vec<Vec<String>> = found
            .items
            .iter()
            .map(|row| {
                vec![
                    row.id.to_string(),
                    state(row),
                    row.events.join(" "),
                    row.open.to_string(),
                    row.dead.to_string(),
                    row.url.clone(),
                    row.description.clone(),
                ]
            })
            .collect();
        output::print(&output::table(&["ID", "STATE", "EVENTS", "OPEN", "DEAD", "URL", "DESCRIPTION"], &cells))?;
        if let Some(next) = found.next_cursor {
            eprintln!("more: --cursor {next}");
        }
        Ok(())
    }

    async fn found(&self, id: i64) -> Result<Endpoint, Failure> {
        let found = endpoint::find(&self.app.database.pool, self.now(), id).await?;
        Ok(found.ok_or(EndpointError::Unknown(id))?)
    }

    async fn show(&self, id: i64) -> Result<(), Failure> {
        let row = self.found(id).await?;
        if self.global.json {
            return output::print_json(&row);
        }
        let at = |time: Option<DateTime<Utc>>| time.map_or_else(|| "-".to_owned(), output::at);
        let rate = row.rate_per_second.map_or_else(|| "as configured".to_owned(), |rate| format!("{rate} a second"));
        output::print(&format!(
            "endpoint      {}\nurl           {}\ndescription   {}\nevents        {}{}\nstate         {}\nrate          {rate}\n\
             secrets       {}\nopen          {} ({} held, {} dead); `kopru deliveries list --target {}` shows them\n\
             last success  {}\nfailing since {}\nlast fault    {}\nmade          {} by {}\nchanged       {} by {}",
            row.id,
            row.url,
            row.description,
            row.events.join(" "),
            if row.bulk { ", those of full passes as well" } else { "" },
            state(&row),
            row.secrets,
            row.open,
            row.held,
            row.dead,
            row.target,
            at(row.last_success_at),
            at(row.failing_since),
            row.last_fault.as_deref().unwrap_or("-"),
            output::at(row.created_at),
            row.created_by,
            output::at(row.updated_at),
            row.updated_by,
        ))
    }

    async fn add(&self, args: AddArgs) -> Result<(), Failure> {
        let new = NewEndpoint {
            address: Address::judge(&self.settings, &args.url).await?,
            description: args.description,
            events: Subscription::parse(&args.events)?,
            bulk: args.bulk,
            rate_per_second: args.rate,
            enabled: !args.disabled,
        };
        let mut tx = self.begin().await?;
        let id = change::add(&mut tx, &self.settings, self.by, self.now(), &new).await?;
        tx.commit().await?;
        let row = self.found(id).await?;
        if self.global.json {
            return output::print_json(&row);
        }
        output::print(&format!(
            "endpoint {id} is told of {}; `kopru webhook-endpoints secrets {id}` shows what signs, `kopru \
             webhook-endpoints test {id}` sends a test event",
            row.events.join(" ")
        ))
    }

    async fn set(&self, args: SetArgs) -> Result<(), Failure> {
        let address = match &args.url {
            Some(url) => Some(Address::judge(&self.settings, url).await?),
            None => None,
        };
        let wanted = EndpointChange {
            address,
            description: args.description,
            events: args.events.as_deref().map(Subscription::parse).transpose()?,
            bulk: args.bulk,
            rate_per_second: args.rate.map(|rate| Some(rate).filter(|rate| *rate != 0)),
            enabled: None,
        };
        self.change(args.id, &wanted).await
    }

    async fn switch(&self, id: i64, enabled: bool) -> Result<(), Failure> {
        self.change(id, &EndpointChange { enabled: Some(enabled), ..EndpointChange::default() }).await
    }

    async fn change(&self, id: i64, wanted: &EndpointChange) -> Result<(), Failure> {
        let mut tx = self.begin().await?;
        change::change(&mut tx, self.by, id, wanted).await?;
        tx.commit().await?;
        let row = self.found(id).await?;
        if self.global.json {
            output::print_json(&row)
        } else {
            output::print(&format!("endpoint {id}: {}", state(&row)))
        }
    }

    async fn remove(&self, id: i64) -> Result<(), Failure> {
        let mut tx = self.begin().await?;
        change::remove(&mut tx, self.by, id).await?;
        tx.commit().await?;
        match self.global.json {
            true => output::print_json(&json!({ "removed": id })),
            false => output::print(&format!("endpoint {id} is removed")),
        }
    }

    async fn shown(&self, tx: &mut PgConnection, id: i64) -> Result<Vec<secrets::Shown>, Failure> {
        Ok(secrets::show(tx, &self.settings, self.by, self.now(), id).await?)
    }

    async fn secrets(&self, id: i64) -> Result<(), Failure> {
        let mut tx = self.begin().await?;
        let shown = self.shown(&mut tx, id).await?;
        tx.commit().await?;
        self.print_secrets(&shown)
    }

    async fn rotate(&self, id: i64, overlap_hours: Option<u32>) -> Result<(), Failure> {
        let overlap = overlap_hours.map_or(self.settings.overlap, |hours| Duration::from_secs(u64::from(hours) * 3600));
        let mut tx = self.begin().await?;
        secrets::rotate(&mut tx, &self.settings, self.by, self.now(), id, overlap).await?;
        let shown = self.shown(&mut tx, id).await?;
        tx.commit().await?;
        self.print_secrets(&shown)
    }

    fn print_secrets(&self, shown: &[secrets::Shown]) -> Result<(), Failure> {
        if self.global.json {
            let items: Vec<_> = shown
                .iter()
                .map(|one| {
                    json!({ "secret": one.secret.expose(), "createdAt": one.created_at, "expiresAt": one.expires_at })
                })
                .collect();
            return output::print_json(&json!({ "items": items }));
        }
        let cells: Vec<Vec<String>> = shown
            .iter()
            .map(|one| {
                let until = one.expires_at.map_or_else(|| "-".to_owned(), output::at);
                vec![output::at(one.created_at), until, one.secret.expose().to_owned()]
            })
            .collect();
        output::print(&output::table(&["MADE (UTC)", "UNTIL (UTC)", "SECRET"], &cells))
    }

    async fn test(&self, id: i64) -> Result<(), Failure> {
        let trial = trial::send(&self.app.database.pool, &self.settings, self.by, self.now(), id).await?;
        if self.global.json {
            output::print_json(&trial)?;
        } else {
            let answer = trial.answer.as_deref().unwrap_or("no answer");
            output::print(&format!("{answer} ({} ms, webhook-id {})", trial.duration_ms, trial.id))?;
        }
        match trial.detail {
            None => Ok(()),
            Some(_) if self.global.json => Err(Failure::Told(1)),
            Some(detail) => Err(Failure::Failed(detail)),
        }
    }

    async fn replay(&self, args: ReplayArgs) -> Result<(), Failure> {
        let choice = Choice {
            since: args.since,
            until: args.until,
            types: args.events.as_deref().map(Subscription::parse).transpose()?,
            object: args.record,
            correlation_id: args.correlation_id,
            undelivered: args.undelivered,
        };
        let mut tx = self.begin().await?;
        let plan = replay::plan(&mut tx, args.id, &choice).await?;
        if !args.yes {
            return self.print_plan(&plan);
        }
        let count = replay::start(&mut tx, self.by, args.id, &choice).await?;
        tx.commit().await?;
        match self.global.json {
            true => output::print_json(&json!({ "replayed": count })),
            false => output::print(&format!("{count} events go out again")),
        }
    }

    fn print_plan(&self, plan: &Plan) -> Result<(), Failure> {
        if self.global.json {
            return output::print_json(plan);
        }
        let cells: Vec<Vec<String>> =
            plan.shares.iter().map(|share| vec![share.kind.clone(), share.count.to_string()]).collect();
        if !cells.is_empty() {
            output::print(&output::table(&["EVENT", "COUNT"], &cells))?;
        }
        if let Some(oldest) = plan.oldest_kept {
            eprintln!("kopru: events are kept since {} UTC", output::at(oldest));
        }
        let more = if plan.total > 0 && std::io::stderr().is_terminal() { "; say --yes to do it" } else { "" };
        output::print(&format!("{} events are meant{more}", plan.total))
    }
}

fn state(row: &Endpoint) -> String {
    match (row.enabled, row.disabled_cause.as_deref(), row.paused_at, row.breaker.as_str()) {
        (false, cause, ..) => format!("off ({})", cause.unwrap_or("person")),
        (true, _, Some(_), _) => "paused".to_owned(),
        (true, _, None, "closed") => "on".to_owned(),
        (true, ..) => "down".to_owned(),
    }
}

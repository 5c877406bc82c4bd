//! `kopru mapping unmapped …`: external codes that no table knows, and what a person answers for them.

use std::{collections::BTreeSet, sync::Arc};

use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::{actor::actor, dead_letters, failure::Failure, output, run::Global};
use crate::{
    app::App,
    audit::Actor,
    hub::{
        engine::Engine,
        mappings::{
            overlay::{self, Answer, AnswerError, Place},
            system_of,
            unmapped::{self, After, Filter},
            waiting,
        },
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Codes that wait for an answer
    List {
        /// Only of this system, `logo`
        #[arg(long)]
        system: Option<String>,
        /// Only those that this instance sent
        #[arg(long)]
        instance: Option<String>,
        /// Only of this table, `currency`
        #[arg(long)]
        table: Option<String>,
        /// Those that were put aside as well
        #[arg(long)]
        ignored: bool,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Say what a code stands for; what failed for it is replayed
    Answer {
        #[command(flatten)]
        place: PlaceArgs,
        /// Our value; \"\" says that there is nothing for it
        value: String,
    },
    /// The answers that were given
    Answers {
        /// Only of this system
        #[arg(long)]
        system: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Take an answer back
    Remove(PlaceArgs),
    /// Put a code aside without an answer
    Ignore(PlaceArgs),
    /// The answers as TOML, for tables.toml
    Export {
        /// Of this system
        system: String,
        /// Those for this instance, which lie over the others
        #[arg(long)]
        instance: Option<String>,
        /// The whole of tables.toml with the answers in it, instead of the answers alone
        #[arg(long)]
        whole: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// `nextCursor` of the page before
    #[arg(long)]
    cursor: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    /// The table, `currency`
    table: String,
    /// The system's code
    code: String,
    /// The system whose table it is [default: the one in which the code waits]
    #[arg(long)]
    system: Option<String>,
    /// Only as this instance sends it [default: the answer holds for every instance of the system]
    #[arg(long)]
    instance: Option<String>,
}

pub(super) async fn unmapped(global: &Global, command: Command) -> Result<(), Failure> {
    let app = global.open().await?;
    let outcome = match app.engine() {
        Ok(engine) => work(global, &engine, command).await,
        Err(error) => Err(error.into()),
    };
    App::close(app).await;
    outcome
}

async fn work(global: &Global, engine: &Engine, command: Command) -> Result<(), Failure> {
    let pool = &engine.pool;
    overlay::refresh(pool, &engine.library).await?;
    let (name, correlation_id) = (actor(), Uuid::now_v7().to_string());
    let by = Actor::new(&name, &correlation_id);
    match command {
        Command::List { system, instance, table, ignored, page } => {
            let filter = Filter { system, connector: instance, table, ignored };
            list(global, engine, &filter, &page).await
        }
        Command::Answers { system, page } => answers(global, engine, system.as_deref(), &page).await,
        Command::Answer { place, value } => {
            if let Some(name) = place.instance.as_deref().filter(|name| !engine.instances.contains_key(*name)) {
                eprintln!("kopru: no system `{name}` is configured; the answer holds for what is pushed as it");
            }
            let system = system(engine, &place).await?;
            let code = crate::mapping::plain_code(&place.code);
            let at = Place { system: &system, table: &place.table, code, instance: place.instance.as_deref() };
            overlay::check(&engine.library.now(), at, &value).map_err(|error| refused(error, engine))?;
            let waiting = waiting::waiting_for(pool, code).await?;
            overlay::answer(pool, at, &value, by).await.map_err(|error| refused(error, engine))?;
            overlay::refresh(pool, &engine.library).await?;
            // A daemon may be the one that replays them.
            waiting::replay_known(pool, &engine.library, by).await?;
            let replayed = waiting::known_by_now(&engine.library, &waiting, code);
            dead_letters::work_off(engine).await?;
            let again = to_be_read_again(engine, &system, &place.table, place.instance.as_deref());
            if global.json {
                return output::print_json(&json!({
                    "system": system, "table": place.table, "code": code, "instance": place.instance, "value": value,
                    "replayed": replayed, "readAgain": again,
                }));
            }
            output::print(&format!(
                "{system}: {} {code} = {value:?}{}; every daemon takes it over within seconds; {replayed} letters replayed",
                place.table,
                place.instance.as_deref().map_or_else(String::new, |instance| format!(" for {instance}")),
            ))?;
            for stream in again {
                output::print(&format!(
                    "records of {stream} were taken without it: `kopru sync run {stream} --full` reads them again"
                ))?;
            }
            Ok(())
        }
        Command::Remove(place) => {
            let code = crate::mapping::plain_code(&place.code);
            let answered = overlay::systems_of(pool, &place.table, code).await?;
            let system = match answered.as_slice() {
                [only] if place.system.is_none() && place.instance.is_none() => only.clone(),
                _ => system(engine, &place).await?,
            };
            let at = Place { system: &system, table: &place.table, code, instance: place.instance.as_deref() };
            if !overlay::remove(pool, at, by).await? {
                return Err(Failure::Failed(format!(
                    "{system} has no answer for {} {}; `kopru mapping unmapped answers` lists them",
                    place.table, place.code
                )));
            }
            told(global, &system, &place, "taken back")
        }
        Command::Ignore(place) => {
            let system = system(engine, &place).await?;
            let code = crate::mapping::plain_code(&place.code);
            let at = Place { system: &system, table: &place.table, code, instance: place.instance.as_deref() };
            if unmapped::ignore(pool, at, by).await? == 0 {
                return Err(Failure::Failed(format!(
                    "no code {} {} of {system} waits for an answer; `kopru mapping unmapped list` shows those that do",
                    place.table, place.code
                )));
            }
            told(global, &system, &place, "put aside")
        }
        Command::Export { system, instance, whole } => {
            let in_force = engine.library.now();
            let mut tables = if whole { in_force.library().shared_tables(&system) } else { Default::default() };
            for (table, codes) in in_force.overlay(&system, instance.as_deref()).tables() {
                tables.entry(table.to_owned()).or_default().extend(codes.clone());
            }
            if global.json {
                return output::print_json(&tables);
            }
            let text = toml::to_string(&tables).map_err(|error| Failure::Failed(error.to_string()))?;
            output::print(&text)
        }
    }
}

fn told(global: &Global, system: &str, place: &PlaceArgs, what: &str) -> Result<(), Failure> {
    if global.json {
        return output::print_json(
            &json!({ "system": system, "table": place.table, "code": place.code, "done": true }),
        );
    }
    output::print(&format!("{system}: {} {} {what}", place.table, place.code))
}

fn refused(error: AnswerError, engine: &Engine) -> Failure {
    match error {
        AnswerError::Database(error) => error.into(),
        AnswerError::UnknownTable { ref system, .. } if engine.library.now().of_system(system).next().is_none() => {
            let now = engine.library.now();
            let known: BTreeSet<&str> = now.iter().map(|mapping| system_of(mapping.name())).collect();
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            Failure::Usage(format!("there are no mappings of a system `{system}`; there are: {known}"))
        }
        error => Failure::Usage(error.to_string()),
    }
}

/// Which system's table is meant.
async fn system(engine: &Engine, place: &PlaceArgs) -> Result<String, Failure> {
    if let Some(system) = &place.system {
        return Ok(system.clone());
    }
    let code = crate::mapping::plain_code(&place.code);
    let connector = place.instance.as_deref();
    let mut systems: BTreeSet<String> =
        unmapped::systems_of(&engine.pool, &place.table, code, connector).await?.into_iter().collect();
    if systems.is_empty() {
        let now = engine.library.now();
        let of_instance = |system: &str| match connector.and_then(|name| engine.instances.get(name)) {
            Some(instance) => instance.streams.iter().any(|stream| system_of(&stream.mapping) == system),
            None => connector.is_none(),
        };
        let uses = now.iter().filter(|mapping| mapping.tables().contains(place.table.as_str()));
        let names = uses.map(|mapping| system_of(mapping.name())).filter(|system| of_instance(system));
        systems = names.map(str::to_owned).collect();
    }
    let mut systems = systems.into_iter();
    match (systems.next(), systems.next()) {
        (Some(system), None) => Ok(system),
        (Some(one), Some(other)) => Err(Failure::Usage(format!(
            "a table `{}` is in use in {one} and in {other}: say which with --system",
            place.table
        ))),
        (None, _) => Err(Failure::Usage(format!(
            "no mapping looks anything up in a table `{}`; `kopru mapping unmapped list` shows what waits",
            place.table
        ))),
    }
}

/// Streams whose records were taken although the code was not known.
fn to_be_read_again(engine: &Engine, system: &str, table: &str, only: Option<&str>) -> Vec<String> {
    let now = engine.library.now();
    let lenient: BTreeSet<&str> =
        now.of_system(system).filter(|mapping| mapping.takes_unmapped(table)).map(|mapping| mapping.name()).collect();
    let streams = engine
        .instances
        .values()
        .flat_map(|instance| instance.streams.iter().map(move |stream| (Arc::clone(instance), stream)));
    streams
        .filter(|(instance, _)| only.is_none_or(|only| instance.name == only))
        .filter(|(_, stream)| stream.enabled && lenient.contains(stream.mapping.as_str()))
        .map(|(instance, stream)| format!("{}.{}", instance.name, stream.spec.name))
        .collect()
}

/// The cursor is the last row's key, as a JSON list.
fn parts<const N: usize>(cursor: Option<&str>) -> Result<Option<[String; N]>, Failure> {
    let bad = || Failure::Usage("--cursor takes the `nextCursor` of the page before".to_owned());
    let Some(text) = cursor else { return Ok(None) };
    let parts: Vec<String> = serde_json::from_str(text).map_err(|_| bad())?;
    parts.try_into().map(Some).map_err(|_| bad())
}

async fn list(global: &Global, engine: &Engine, filter: &Filter, page: &PageArgs) -> Result<(), Failure> {
    let after =
        parts(page.cursor.as_deref())?.map(|[system, table, code, connector]| After { system, table, code, connector });
    let rows = unmapped::list(&engine.pool, filter, after.as_ref(), page.limit).await?;
    output::Listed::page(&rows, page.limit, |row| json!([row.system, row.table, row.code, row.connector]).to_string())
        .print(
            global,
            "no code waits for an answer",
            &["SYSTEM", "TABLE", "CODE", "INSTANCE", "SEEN", "LAST (UTC)", "FOR EXAMPLE", ""],
            |row| {
                vec![
                    row.system.clone(),
                    row.table.clone(),
                    row.code.clone(),
                    row.connector.clone(),
                    row.seen.to_string(),
                    output::at(row.last_seen_at),
                    row.example.clone().unwrap_or_default(),
                    if row.ignored_at.is_some() { "put aside" } else { "" }.to_owned(),
                ]
            },
        )
}

async fn answers(global: &Global, engine: &Engine, system: Option<&str>, page: &PageArgs) -> Result<(), Failure> {
    let after: Option<[String; 4]> = parts(page.cursor.as_deref())?;
    let after =
        after.as_ref().map(|[system, table, code, instance]| Place { system, table, code, instance: Some(instance) });
    let rows = overlay::list(&engine.pool, system, after, page.limit).await?;
    output::Listed::page(&rows, page.limit, cursor).print(
        global,
        "no answers were given",
        &["SYSTEM", "TABLE", "CODE", "INSTANCE", "VALUE", "BY", "SINCE (UTC)"],
        |row| {
            vec![
                row.system.clone(),
                row.table.clone(),
                row.code.clone(),
                row.instance.clone().unwrap_or_else(|| "all".to_owned()),
                row.value.clone(),
                row.answered_by.clone(),
                output::at(row.answered_at),
            ]
        },
    )
}

fn cursor(row: &Answer) -> String {
    json!([row.system, row.table, row.code, row.instance.as_deref().unwrap_or("")]).to_string()
}

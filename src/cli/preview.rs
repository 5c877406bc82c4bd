//! `kopru mapping preview`: what a document, or what is stored, would change. Writes nothing.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use indicatif::ProgressBar;
use kopru_sdk::settings::unknown_key;
use serde_json::{Value, json};

use super::{failure::Failure, logging::Voice, output, run::Global};
use crate::{
    app::{App, AppError},
    clock::Clock,
    config::Config,
    database::Home,
    hub::mappings::{
        InForce, Shelf, overlay,
        preview::{Preview, PreviewError, Record, Subject, decoded, instance_of, preview},
        stored::{Report, preview_stored},
        system_of,
    },
    mapping::{Effective, Files, Format},
};

#[derive(Debug, Args)]
pub(super) struct PreviewArgs {
    /// `logo/items`, or a mapping file
    mapping: String,
    /// The document
    #[arg(long, value_name = "FILE", required_unless_present = "stored", conflicts_with = "stored")]
    input: Option<PathBuf>,
    /// Instead of a document: the last N stored payloads and open letters of this mapping
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=100_000))]
    stored: Option<i64>,
    /// The mapping as this file has it, instead of the one in force
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// json, xml or csv [default: by the name of the document, else json]
    #[arg(long)]
    format: Option<String>,
    /// Charset of the document [default: as its mark or XML declaration says, else UTF-8]
    #[arg(long, value_name = "NAME")]
    charset: Option<String>,
    /// As which instance's document [default: the one whose stream uses the mapping]
    #[arg(long)]
    instance: Option<String>,
    /// Only what the mapping makes of it, without the store
    #[arg(long, conflicts_with = "stored")]
    offline: bool,
    /// Records that are shown; all of them count
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

/// A document that is previewed is held in memory as a whole.
const LONGEST: u64 = 64 * 1024 * 1024;

pub(super) async fn run(global: &Global, args: PreviewArgs) -> Result<(), Failure> {
    let config = global.load(Voice::Command)?;
    let (name, shelf) = library(&config, &args)?;
    let none_yet = config.data.absolute().is_ok_and(|dir| Home::existing(&dir).is_none());
    let no_store = config.database.url.is_none() && none_yet;
    if args.offline || (no_store && args.stored.is_none()) {
        if !args.offline {
            eprintln!("kopru: there is no database yet: this is only what the mapping makes of the document");
        }
        let mapping = chosen(&shelf.now(), &name)?;
        return document(global, &args, &mapping, None).await;
    }
    let app = App::open(config, Clock::system()).await?;
    let outcome = with_store(global, &args, &app, &name, &shelf).await;
    App::close(app).await;
    outcome
}

async fn with_store(global: &Global, args: &PreviewArgs, app: &App, name: &str, shelf: &Shelf) -> Result<(), Failure> {
    overlay::refresh(&app.database.pool, shelf).await?;
    let mapping = chosen(&shelf.now(), name)?;
    let own = match (&args.instance, app.engine()) {
        (Some(instance), _) => Some(instance.clone()),
        (None, engine) => instance_of(&engine?, name).map(str::to_owned),
    };
    let mapping = own.and_then(|instance| shelf.get_for(&instance, name)).unwrap_or(mapping);
    match args.stored {
        Some(limit) => stored(global, app, &shelf.now(), &mapping, limit).await,
        None => document(global, args, &mapping, Some(app)).await,
    }
}

/// The mappings in force, with the file that was named in its place.
fn library(config: &Config, args: &PreviewArgs) -> Result<(String, Shelf), Failure> {
    let path = Path::new(&args.mapping);
    let names_a_file = path.extension().is_some_and(|extension| extension == "toml");
    let (name, file) = if names_a_file && args.file.is_none() {
        let full = path.canonicalize().map_err(|error| Failure::Usage(format!("{}: {error}", args.mapping)))?;
        let part = |path: Option<&Path>| path.and_then(Path::file_stem).map(|part| part.to_string_lossy().into_owned());
        let system = part(full.parent()).unwrap_or_default();
        (format!("{system}/{}", part(Some(&full)).unwrap_or_default()), Some(full))
    } else {
        (args.mapping.clone(), args.file.clone())
    };
    let dir = Some(config.mappings.dir.as_path()).filter(|dir| dir.is_dir());
    let mut files = Files::in_force(dir).map_err(AppError::Mappings)?;
    if let Some(file) = file {
        files.put_file(&format!("{name}.toml"), &file).map_err(|problem| AppError::Mappings(vec![problem]))?;
    }
    let library = files.library().map_err(AppError::Mappings)?;
    Ok((name, Shelf::new(Arc::new(library))))
}

fn chosen(in_force: &InForce, name: &str) -> Result<Effective, Failure> {
    in_force.get(name).ok_or_else(|| {
        let known: Vec<&str> = in_force.iter().map(|mapping| mapping.name()).collect();
        Failure::Usage(format!("`{name}`: {}", unknown_key(name, &known).replace("key", "mapping")))
    })
}

fn format_of(args: &PreviewArgs, path: &Path, mapping: &Effective) -> Result<Format, Failure> {
    let word = match &args.format {
        Some(word) => word.clone(),
        None => path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default(),
    };
    match (Format::parse(&word), &args.format) {
        (Some(format), _) => Ok(format),
        (None, None) => Ok(mapping.formats().first().copied().unwrap_or(Format::Json)),
        (None, Some(word)) => Err(Failure::Usage(format!("--format is json, xml or csv, not `{word}`"))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error: std::io::Error| Failure::Failed(format!("cannot read {}: {error}", path.display()));
    if std::fs::metadata(path).map_err(cannot)?.len() > LONGEST {
        let mib = LONGEST / (1024 * 1024);
        return Err(Failure::Usage(format!("{} is larger than {mib} MiB: preview a part of it", path.display())));
    }
    std::fs::read(path).map_err(cannot)
}

async fn document(global: &Global, args: &PreviewArgs, mapping: &Effective, app: Option<&App>) -> Result<(), Failure> {
    let path = args.input.as_deref().unwrap_or(Path::new(""));
    let format = format_of(args, path, mapping)?;
    let body = decoded(read(path)?, args.charset.as_deref()).map_err(failed)?;
    let engine = app.map(App::engine).transpose()?;
    let instance = match (&args.instance, &engine) {
        (Some(name), Some(engine)) => {
            engine.instance(name).map_err(|error| Failure::Usage(error.to_string()))?;
            name.clone()
        }
        (Some(name), None) => name.clone(),
        (None, Some(engine)) => {
            instance_of(engine, mapping.name()).unwrap_or_else(|| system_of(mapping.name())).to_owned()
        }
        (None, None) => system_of(mapping.name()).to_owned(),
    };
    let clock = Clock::system();
    let received_at = match &engine {
        Some(engine) => engine.database_now().await?,
        None => clock.now(),
    };
    let subject = Subject { connector: &instance, mapping, format, received_at };
    let found = preview(engine.as_ref(), &subject, &body).await.map_err(failed)?;
    if global.json {
        let Preview { counts, records, unmapped, skipped } = &found;
        return output::print_json(&json!({
            "mapping": mapping.name(), "entity": mapping.entity().as_str(), "hash": mapping.hash(),
            "format": format.as_str(), "instance": instance, "offline": engine.is_none(), "counts": counts,
            "records": &records[..records.len().min(args.limit)], "unmapped": unmapped, "skipped": skipped,
        }));
    }
    for record in found.records.iter().take(args.limit) {
        output::print(&shown(record))?;
    }
    if found.records.len() > args.limit {
        output::print(&format!("… {} more records (--limit)\n", found.records.len() - args.limit))?;
    }
    for one in &found.unmapped {
        output::print(&format!("unmapped: {} {} ({} times)", text(&one["table"]), text(&one["code"]), one["count"]))?;
    }
    let counts = serde_json::to_value(found.counts).unwrap_or_default();
    output::print(&summary(&counts, engine.is_none()))
}

fn failed(error: PreviewError) -> Failure {
    Failure::Failed(error.to_string())
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// So that a line stays readable; `--json` has all of it.
fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn shown(record: &Record) -> String {
    let mut told = format!("record {}  {}", record.ordinal, told(record));
    for part in &record.parts {
        told.push_str(&format!("  {}  {}", part.entity, self::told(part).replace("\n ", "\n   ")));
    }
    told
}

/// A record without its parts.
fn told(record: &Record) -> String {
    let mut told = format!("{}  {}", record.code.as_deref().unwrap_or("-"), record.outcome);
    if let Some(reason) = &record.reason {
        told.push_str(&format!(" ({reason})"));
    }
    told.push('\n');
    let rows: Vec<Vec<String>> = record
        .fields
        .iter()
        .map(|field| {
            let value = match field.get("fault") {
                Some(fault) => format!("REFUSED {}: {}", text(&fault["reason"]), text(&fault["detail"])),
                None if field.get("absent").is_some() => "(left as it is)".to_owned(),
                None => field["value"].to_string(),
            };
            let (source, given) = (cut(&text(&field["source"]), 40), cut(&text(&field["given"]), 40));
            vec![format!("  {}", text(&field["field"])), source, given, cut(&value, 200)]
        })
        .collect();
    if !rows.is_empty() {
        told.push_str(&output::table(&["  FIELD", "FROM", "GIVEN", "VALUE"], &rows));
    }
    // Of what is made the fields say it.
    for change in record.changes.iter().filter(|_| record.outcome != "created") {
        told.push_str(&format!("  change {}: {} -> {}\n", change.field, change.from, change.to));
    }
    for missing in &record.missing {
        told.push_str(&format!("  waits for {} {}\n", text(&missing["entity"]), text(&missing["code"])));
    }
    if let Some(failure) = &record.failure {
        told.push_str(&format!("  fails: {} {}\n", text(&failure["reason"]), text(&failure["detail"])));
    }
    told
}

fn summary(counts: &Value, offline: bool) -> String {
    let names = if offline {
        &["records", "failed", "skipped"][..]
    } else {
        &["records", "created", "updated", "unchanged", "stale", "superseded", "deferred", "failed", "skipped"][..]
    };
    names.iter().map(|name| format!("{name} {}", counts[name])).collect::<Vec<_>>().join(", ")
}

async fn stored(
    global: &Global,
    app: &App,
    in_force: &InForce,
    mapping: &Effective,
    limit: i64,
) -> Result<(), Failure> {
    let engine = app.engine()?;
    let bar = if std::io::stderr().is_terminal() && !global.json { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let report = preview_stored(&engine, in_force, mapping.name(), limit, |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })
    .await;
    bar.finish_and_clear();
    let report: Report = report.map_err(failed)?;
    let value = serde_json::to_value(&report).unwrap_or_default();
    if global.json {
        let mut value = value;
        value["mapping"] = mapping.name().into();
        value["hash"] = mapping.hash().into();
        return output::print_json(&value);
    }
    let Report { payloads, letters, letters_mended, unreadable, .. } = report;
    output::print(&format!(
        "{payloads} payloads and {letters} letters looked at; {letters_mended} letters would go in, {unreadable} cannot \
         be read\n{}",
        summary(&value["counts"], false)
    ))?;
    let groups = |list: &Value, head: &[&str; 3], key: fn(&Value) -> String| -> Result<(), Failure> {
        let rows: Vec<Vec<String>> = list
            .as_array()
            .into_iter()
            .flatten()
            .map(|group| {
                let examples = group["examples"].as_array().into_iter().flatten().map(example);
                vec![key(group), group["count"].to_string(), examples.collect::<Vec<_>>().join("; ")]
            })
            .collect();
        if rows.is_empty() { Ok(()) } else { output::print(&format!("\n{}", output::table(head, &rows))) }
    };
    groups(&value["changes"], &["FIELD", "RECORDS", "FOR EXAMPLE"], |group| {
        format!("{} {}", text(&group["entity"]), text(&group["field"]))
    })?;
    groups(&value["failures"], &["FAILURE", "RECORDS", "FOR EXAMPLE"], |group| {
        format!("{} {} {}", text(&group["reason"]), text(&group["entity"]), text(&group["field"]))
    })
}

fn example(example: &Value) -> String {
    match example.get("to") {
        Some(to) => format!("{}: {} -> {to}", text(&example["code"]), example["from"]),
        None => format!("{} {} {}", text(&example["code"]), text(&example["value"]), text(&example["detail"])),
    }
}

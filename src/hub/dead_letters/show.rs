//! One letter with everything that a person needs to decide about it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    super::{engine::Engine, history::AttemptRow, messages::unpack},
    list::{Letter, find},
    marked::marked,
    store::LetterError,
};
use crate::mapping::{Effective, Explained, Fate, Format};

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterDetail)]
pub struct LetterDetail {
    #[serde(flatten)]
    pub letter: Letter,
    pub format: String,
    /// What a replay takes: the edited document, or else what came.
    pub payload: String,
    /// The same for a person, the lines that hold what failed marked.
    pub marked: String,
    /// What came, when somebody has edited it.
    pub original: Option<String>,
    pub edited_at: Option<DateTime<Utc>>,
    /// What the mapping of today makes of it.
    pub today: Option<Made>,
    pub attempts_made: Vec<AttemptRow>,
    /// Open letters with the same fingerprint, this one included.
    pub alike: i64,
    /// The first ten of the others.
    pub siblings: Vec<Sibling>,
    /// How letters of the same record ended before.
    pub history: Vec<Earlier>,
    /// What to do now, in one sentence.
    pub next: String,
}

/// What the mapping of today makes of a document.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterToday)]
pub struct Made {
    /// change, rejected, skipped or unreadable
    pub fate: &'static str,
    pub detail: Option<String>,
    pub fields: Vec<MadeField>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterField)]
pub struct MadeField {
    pub field: &'static str,
    pub source: String,
    pub given: Option<String>,
    #[schema(value_type = Option<Value>)]
    pub value: Option<Value>,
    pub reason: Option<String>,
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterSibling)]
pub struct Sibling {
    pub id: Uuid,
    pub code: Option<String>,
    pub value: Option<String>,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EarlierDeadLetter)]
pub struct Earlier {
    pub id: Uuid,
    pub resolution: String,
    pub resolved_by: String,
    pub resolved_at: DateTime<Utc>,
    pub note: Option<String>,
    pub reason: String,
    pub detail: String,
    pub edited_by: Option<String>,
}

/// `None`: it does not exist, or has been resolved.
pub async fn show(engine: &Engine, id: Uuid) -> Result<Option<LetterDetail>, LetterError> {
    let db = &engine.pool;
    let Some(letter) = find(db, id).await? else { return Ok(None) };
    let row = sqlx::query!(
        r#"select format, body, edited_body, edited_at,
                  (select count(*) from hub.dead_letter o where o.fingerprint = d.fingerprint) as "alike!"
           from hub.dead_letter d where id = $1"#,
        id
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let siblings = sqlx::query_as!(
        Sibling,
        "select id, key as code, value, created_at from hub.dead_letter
         where fingerprint = $1 and id <> $2 order by id limit 10",
        letter.fingerprint,
        id,
    )
    .fetch_all(db)
    .await?;
    let history = sqlx::query_as!(
        Earlier,
        "select id, resolution, resolved_by, resolved_at, note, reason, detail, edited_by from hub.dead_letter_history
         where key = $1 and connector = $2 and entity is not distinct from $3 order by resolved_at desc limit 20",
        letter.code,
        letter.connector,
        letter.entity,
    )
    .fetch_all(db)
    .await?;
    // Its own message, and those by which it was tried again.
    let attempts_made = sqlx::query_as!(
        AttemptRow,
        "select number, started_at, finished_at, outcome, cause, reason, detail from hub.attempt
         where message_id = $1
            or message_id in (select id from hub.message_history
                              where key = $2 and connector = $3 and entity is not distinct from $4 and kind = $5)
         order by started_at, id limit 100",
        letter.message_id,
        letter.code,
        letter.connector,
        letter.entity,
        letter.kind,
    )
    .fetch_all(db)
    .await?;

    let original = unpack(&row.body)?;
    let edited = row.edited_body.as_deref().map(unpack).transpose()?;
    let in_force = edited.as_deref().unwrap_or(&original);
    let format = Format::parse(&row.format).unwrap_or(Format::Json);
    let today = explain(engine, &letter, format, in_force);
    let payload = String::from_utf8_lossy(in_force).into_owned();
    let marked = marked(format, &payload, &sources(&letter, today.as_ref()));
    let next = next(&letter, today.as_ref());
    Ok(Some(LetterDetail {
        format: row.format,
        payload,
        marked,
        original: edited.is_some().then(|| String::from_utf8_lossy(&original).into_owned()),
        edited_at: row.edited_at,
        today,
        attempts_made,
        alike: row.alike,
        siblings,
        history,
        next,
        letter,
    }))
}

fn explain(engine: &Engine, letter: &Letter, format: Format, document: &[u8]) -> Option<Made> {
    let mapping = engine.library.get_for(&letter.connector, letter.mapping.as_deref()?)?;
    Some(match mapping.explain(format, document) {
        Err(unreadable) => Made { fate: "unreadable", detail: Some(unreadable.to_string()), fields: Vec::new() },
        Ok(records) => match records.into_iter().next() {
            None => Made { fate: "unreadable", detail: Some("it holds no record".to_owned()), fields: Vec::new() },
            Some(record) => with_parts(made(record), &mapping, format, document),
        },
    })
}

/// A record that its own mapping takes is refused all the same when one of its parts is.
fn with_parts(made: Made, mapping: &Effective, format: Format, document: &[u8]) -> Made {
    if made.fate != "change" || mapping.parts().is_empty() {
        return made;
    }
    let document = mapping.map_with_parts(format, document).unwrap_or_default();
    match document.iter().skip(1).find_map(|part| part.rejected.first()) {
        None => made,
        Some(refused) => {
            let detail = format!("{} ({}): {}", refused.field, refused.source, refused.detail);
            Made { fate: "rejected", detail: Some(detail), ..made }
        }
    }
}

fn made(record: Explained) -> Made {
    let (fate, detail) = match record.fate {
        Fate::Change => ("change", None),
        Fate::Rejected => ("rejected", None),
        Fate::Skipped(reason) => ("skipped", Some(reason)),
    };
    let fields = record.fields.into_iter().map(|field| MadeField {
        field: field.target,
        source: field.source,
        given: field.given,
        value: field.value,
        reason: field.fault.as_ref().map(|fault| fault.reason.to_string()),
        detail: field.fault.map(|fault| fault.detail),
    });
    Made { fate, detail, fields: fields.collect() }
}

/// Where in the document the failing value was looked for.
fn sources(letter: &Letter, today: Option<&Made>) -> Vec<String> {
    let Some(field) = letter.field.as_deref() else { return Vec::new() };
    let split = |source: &str| -> Vec<String> {
        source.split(" or ").flat_map(|part| part.split(" + ")).map(|part| part.trim().to_owned()).collect()
    };
    // The mapping's letter names its source: `name (NAME)`, and the part of a list below it: `units[1].barcode (BARCODE)`.
    if let Some((_, source)) = field.strip_suffix(')').and_then(|text| text.split_once(" (")) {
        return split(source);
    }
    let name = field.split(['[', '.']).next().unwrap_or(field);
    let found = today.and_then(|made| made.fields.iter().find(|made| made.field == name));
    found.map(|made| split(&made.source)).unwrap_or_default()
}

fn next(letter: &Letter, today: Option<&Made>) -> String {
    let id = letter.id;
    let takes_it = today.is_some_and(|made| made.fate == "change");
    if letter.state == "replaying" {
        return "It is being replayed right now: look again in a moment.".to_owned();
    }
    if let (Some(entity), Some(code)) = (&letter.missing_entity, &letter.missing_code) {
        return format!(
            "It lacks {entity} {code} and is replayed by itself when that comes: see that the source sends it, or replay \
             this letter with another code by `--edit`."
        );
    }
    match letter.cause.as_str() {
        "remote" => format!("The system did not take it: when it is well again, `kopru dead-letters replay {id}`."),
        "credential" | "contract" => format!(
            "Mend the connector's access or settings (`kopru doctor` checks them), then `kopru dead-letters replay {id}`."
        ),
        "ours" if letter.reason == "mapping_missing" => format!(
            "Bring the mapping `{}` back, then `kopru dead-letters replay {id}`.",
            letter.mapping.as_deref().unwrap_or("")
        ),
        "ours" => format!(
            "This is a fault of the program or of its store: report it with this page, and replay after the next version \
             by `kopru dead-letters replay {id}`."
        ),
        _ if letter.reason == "unmapped_code" && !takes_it => {
            "Say in the mapping's code tables what this code stands for, then replay all letters of this fingerprint."
                .to_owned()
        }
        _ if takes_it && letter.field.as_deref().is_some_and(|field| field.contains('(')) => {
            format!("The mapping of today takes it: `kopru dead-letters replay {id}`.")
        }
        _ => {
            let field = letter.field.as_deref().unwrap_or("the record");
            format!(
                "Mend {field} in the source, from where it comes again by itself, or replay a mended document: `kopru \
                 dead-letters replay {id} --edit FILE`."
            )
        }
    }
}

//! The references of a page's records: resolved, made, or told as missing.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::DateTime;
use kopru_sdk::Cause;
use sqlx::PgConnection;

use super::apply::{ApplyContext, ApplyError, Failure, Row, Verdict};
use crate::{
    canonical::{Change, Entity, Value},
    commerce::{CommandError, Outcome, unknown_units},
    hub::{
        entities::{self, Resolved},
        links::{self, LinkWrite},
    },
};

/// Turns the external codes of references into internal ids; rows that name something unknown are deferred, refused,
/// or have it made for them.
pub(super) async fn resolve<'a>(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    rows: Vec<Row<'a>>,
    verdicts: &mut [Verdict],
) -> Result<Vec<Row<'a>>, ApplyError> {
    if cx.references.is_empty() {
        return Ok(rows);
    }
    let mut known = cx.known.cloned().unwrap_or_default();
    let mut wanted: BTreeSet<(Entity, &str)> = BTreeSet::new();
    for row in &rows {
        for (field, entity, _) in cx.references {
            if let Some(code) = row.incoming.change.values[*field].as_text() {
                wanted.insert((*entity, code));
            }
        }
    }
    let is_open = |(entity, code): &&(Entity, &str)| !known.contains_key(&(*entity, (*code).to_owned()));
    let (entities, codes): (Vec<&str>, Vec<&str>) =
        wanted.iter().filter(is_open).map(|(entity, code)| (entity.as_str(), *code)).unzip();
    if !codes.is_empty() {
        known.extend(links::resolve(tx, cx.connector, &entities, &codes).await?);
    }
    for (_, entity, on_missing) in cx.references {
        let comes = |code: &str| *entity == cx.entity && rows.iter().any(|row| row.code() == code);
        let is_known = |code: &str| known.contains_key(&(*entity, code.to_owned()));
        let missing: Vec<&str> = wanted
            .iter()
            .filter(|(of, code)| of == entity && on_missing.makes(code) && !is_known(code) && !comes(code))
            .map(|(_, code)| *code)
            .collect();
        create_placeholders(tx, cx, *entity, &missing, &mut known).await?;
    }

    // A record may refer to another one of its own page (a category to its parent), as long as that one goes in.
    let mut going: HashMap<&str, i64> = if cx.references.iter().any(|(_, entity, _)| *entity == cx.entity) {
        rows.iter().map(|row| (row.incoming.change.code.as_ref(), row.internal_id)).collect()
    } else {
        HashMap::new()
    };
    let mut dropped: HashSet<usize> = HashSet::new();
    loop {
        let before = dropped.len();
        for row in &rows {
            if dropped.contains(&row.place) {
                continue;
            }
            if let Some(verdict) = missing_of(cx, row.incoming.change, &known, &going) {
                going.remove(row.code());
                verdicts[row.place] = verdict;
                dropped.insert(row.place);
            }
        }
        if dropped.len() == before {
            break;
        }
    }
    let mut kept = rows;
    kept.retain(|row| !dropped.contains(&row.place));
    for row in &mut kept {
        let change = row.incoming.change;
        row.refs = vec![None; change.values.len()];
        for (field, entity, _) in cx.references {
            if let Some(code) = change.values[*field].as_text() {
                row.refs[*field] = lookup(cx, *entity, code, &known, &going);
            }
        }
    }
    if let Some(field) = cx.known_unit {
        refuse_unknown_units(tx, cx, field, &mut kept, verdicts).await?;
    }
    Ok(kept)
}

/// A unit is no record of its own, but it is a reference all the same.
async fn refuse_unknown_units(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    field: usize,
    rows: &mut Vec<Row<'_>>,
    verdicts: &mut [Verdict],
) -> Result<(), ApplyError> {
    let named = |row: &Row<'_>| row.incoming.change.values[field].as_text().map(str::to_owned);
    let units: BTreeSet<String> = rows.iter().filter_map(named).collect();
    if units.is_empty() {
        return Ok(());
    }
    let units: Vec<&str> = units.iter().map(String::as_str).collect();
    let unknown = unknown_units(tx, &units).await?;
    rows.retain(|row| match named(row).filter(|unit| unknown.contains(unit)) {
        None => true,
        Some(unit) => {
            let detail = format!("Unit not found: {unit}");
            let missing = missing_reference(cx.entity, field, Entity::UnitSet, &unit);
            verdicts[row.place] = Verdict::Refused(Failure { detail, ..missing }.into());
            false
        }
    });
    Ok(())
}

fn lookup(
    cx: &ApplyContext<'_>,
    entity: Entity,
    code: &str,
    known: &HashMap<(Entity, String), i64>,
    going: &HashMap<&str, i64>,
) -> Option<i64> {
    let own = if entity == cx.entity { going.get(code).copied() } else { None };
    own.or_else(|| known.get(&(entity, code.to_owned())).copied())
}

/// What to do with a record because of the references that lead nowhere; a refusal weighs more than a wait.
fn missing_of(
    cx: &ApplyContext<'_>,
    change: &Change<'_>,
    known: &HashMap<(Entity, String), i64>,
    going: &HashMap<&str, i64>,
) -> Option<Verdict> {
    let mut waits = Vec::new();
    for (field, entity, on_missing) in cx.references {
        let Some(code) = change.values[*field].as_text() else { continue };
        if lookup(cx, *entity, code, known, going).is_some() {
            continue;
        }
        if on_missing.refuses() {
            return Some(Verdict::Refused(missing_reference(cx.entity, *field, *entity, code).into()));
        }
        waits.push((*entity, code.to_owned()));
    }
    (!waits.is_empty()).then_some(Verdict::Deferred(waits))
}

/// The failure of a record whose reference does not exist: `Category not found: X`.
pub fn missing_reference(of: Entity, field: usize, entity: Entity, code: &str) -> Failure {
    let name = entity.as_str().replace('_', " ");
    let mut letters = name.chars();
    let title: String = letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect();
    Failure {
        cause: Cause::Data,
        reason: "missing_reference".to_owned(),
        field: of.fields().get(field).map(|spec| spec.name.to_owned()),
        value: Some(code.to_owned()),
        detail: format!("{title} not found: {code}"),
    }
}

/// Makes records that a mapping says may be made (a warehouse of which only the number is known), with the code as
/// name and a link without content, so that the first real document about them fills them in.
async fn create_placeholders(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    entity: Entity,
    codes: &[&str],
    known: &mut HashMap<(Entity, String), i64>,
) -> Result<(), ApplyError> {
    if codes.is_empty() {
        return Ok(());
    }
    let changes: Vec<Change<'_>> = codes.iter().map(|code| placeholder(entity, code)).collect();
    let unlinked: Vec<Resolved<'_>> =
        changes.iter().map(|change| Resolved { id: 0, is_new: false, change, refs: &[] }).collect();
    let existing = entities::existing_ids(tx, entity, &unlinked).await?;
    let missing = existing.iter().filter(|id| id.is_none()).count();
    let mut allocated = entities::allocate_ids(tx, entity, missing).await?.into_iter().peekable();
    let mut made = Vec::new();
    let mut new_links = Vec::new();
    let mut found_links = Vec::new();
    for (change, id) in changes.iter().zip(existing) {
        let link = |internal_id| LinkWrite {
            id: 0,
            internal_id,
            code: &change.code,
            external_id: None,
            hash: None,
            version: None,
            received_at: DateTime::UNIX_EPOCH,
            ordinal: 0,
        };
        match (id, allocated.next_if(|_| id.is_none())) {
            (Some(id), _) => found_links.push(link(id)),
            (None, Some(id)) => {
                made.push(Resolved { id, is_new: true, change, refs: &[] });
                new_links.push(link(id));
            }
            (None, None) => return Err(ApplyError::Conflict),
        }
    }
    // A record that this instance knows under another code is found all the same, without a second link.
    if !found_links.is_empty() {
        links::insert(tx, cx.connector, entity, None, &found_links).await?;
    }
    known.extend(found_links.iter().map(|link| ((entity, link.code.to_owned()), link.internal_id)));
    if made.is_empty() {
        return Ok(());
    }
    if !links::insert(tx, cx.connector, entity, None, &new_links).await? {
        return Err(ApplyError::Conflict);
    }
    let outcomes = entities::upsert(tx, entity, &cx.write, &made).await.map_err(|error| match error {
        error if error.retry_at_once() => ApplyError::Conflict,
        CommandError::Database(error) => error.into(),
        error => ApplyError::Command(error),
    })?;
    let mut refused = Vec::new();
    for (link, outcome) in new_links.iter().zip(outcomes) {
        match outcome {
            Outcome::Refused(_) => refused.push(link.code),
            _ => {
                known.insert((entity, link.code.to_owned()), link.internal_id);
            }
        }
    }
    if !refused.is_empty() {
        links::delete_new(tx, cx.connector, entity, &refused).await?;
    }
    Ok(())
}

fn placeholder<'a>(entity: Entity, code: &'a str) -> Change<'a> {
    let named = |name| if name == "name" { Value::Text(code.into()) } else { Value::Absent };
    Change {
        entity,
        code: code.into(),
        external_id: None,
        version: None,
        values: entity.fields().iter().map(|field| named(field.name)).collect(),
        hash: [0; 16],
        ordinal: 0,
    }
}

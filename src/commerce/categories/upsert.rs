//! The upsert of categories.

use sqlx::PgConnection;

use super::{
    queries,
    tree::{self, Move},
};
use crate::commerce::{
    CommandError, Outcome, Patch, WriteContext, check, claims,
    outcome::{Outcomes, Violation},
    ownership::{CategoryField, Field, Given},
};

#[derive(Debug, Clone, Copy, Default)]
pub struct CategoryUpsert<'a> {
    pub id: i64,
    pub is_new: bool,
    pub code: &'a str,
    pub name: Patch<&'a str>,
    /// May be a new category of the same page.
    pub parent: Patch<i64>,
    pub is_active: Patch<bool>,
}

#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) place: usize,
    pub(super) id: i64,
    pub(super) is_new: bool,
    pub(super) given: i64,
    pub(super) code: &'a str,
    pub(super) name: Option<&'a str>,
    pub(super) parent: Option<i64>,
    pub(super) is_active: bool,
}

fn prepare<'a>(cx: &WriteContext<'_>, place: usize, row: &CategoryUpsert<'a>) -> Result<Entry<'a>, Violation> {
    let mut given = Given::new(cx.writer, row.is_new);
    let code = check::code(row.code, 100)?;
    given.take(CategoryField::Code, &Patch::Set(code));
    let name = given.optional(CategoryField::Name, check::required_text("name", row.name, 200, row.is_new)?);
    let parent = given.optional(CategoryField::Parent, row.parent);
    let is_active = given.defaulted(CategoryField::IsActive, row.is_active, true);
    Ok(Entry { place, id: row.id, is_new: row.is_new, given: given.mask(), code, name, parent, is_active })
}

/// Creates and changes categories; see [`crate::commerce`] for what every upsert does.
pub async fn upsert_categories(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[CategoryUpsert<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    let mut outcomes = Outcomes::new(rows.len());
    let mut entries = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        match prepare(cx, place, row) {
            Ok(entry) => entries.push(entry),
            Err(violation) => outcomes.refuse(place, violation),
        }
    }
    let held = queries::holders(conn, &entries).await?;
    let refused = claims::codes(entries.iter().map(|entry| (entry.id, entry.code)), &held);
    let entries = claims::drop_refused(entries, refused, |entry| entry.place, &mut outcomes);
    let entries = keep_tree(conn, entries, &mut outcomes).await?;

    let (new, known): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.is_new);
    if !new.is_empty() {
        queries::insert(conn, cx, &new).await?;
        new.iter().for_each(|entry| outcomes.set(entry.place, Outcome::Created));
    }
    if !known.is_empty() {
        for (place, changed) in queries::update(conn, cx, &known).await? {
            outcomes.set(place, if changed == 0 { Outcome::Unchanged } else { Outcome::Updated });
        }
    }
    Ok(outcomes.finish())
}

async fn keep_tree<'a>(
    conn: &mut PgConnection,
    entries: Vec<Entry<'a>>,
    outcomes: &mut Outcomes,
) -> Result<Vec<Entry<'a>>, CommandError> {
    if entries.iter().all(|entry| entry.parent.is_none()) {
        return Ok(entries);
    }
    queries::lock_tree(conn).await?;
    let above = claims::distinct(
        entries
            .iter()
            .filter(|entry| !entry.is_new)
            .map(|entry| entry.id)
            .chain(entries.iter().filter_map(|entry| entry.parent)),
    );
    let stored = queries::ancestors(conn, &above).await?;
    let moves: Vec<Move<'_>> = entries
        .iter()
        .map(|entry| Move {
            id: entry.id,
            code: entry.code,
            is_new: entry.is_new,
            parent: entry.parent,
            moves: entry.given & CategoryField::Parent.bit() != 0,
        })
        .collect();
    let refused = tree::judge(&moves, &stored);
    Ok(claims::drop_refused(entries, refused, |entry| entry.place, outcomes))
}

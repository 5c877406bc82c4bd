//! The upsert of unit sets.

use sqlx::PgConnection;

use super::queries;
use crate::commerce::{
    CommandError, Outcome, Patch, UnitLine, WriteContext, check, claims,
    outcome::{Outcomes, Violation},
    ownership::{Field, Given, UnitSetField},
    units::{self, StoredLine},
};

#[derive(Debug, Clone, Default)]
pub struct UnitSetUpsert<'a> {
    pub id: i64,
    pub is_new: bool,
    pub code: &'a str,
    pub name: Patch<&'a str>,
    /// Replaced whole; weights and barcodes belong to products and are not kept here.
    pub units: Patch<Vec<UnitLine<'a>>>,
}

#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) place: usize,
    pub(super) id: i64,
    pub(super) is_new: bool,
    pub(super) given: i64,
    pub(super) code: &'a str,
    pub(super) name: Option<&'a str>,
    pub(super) units: Option<Vec<StoredLine<'a>>>,
}

fn prepare<'a>(cx: &WriteContext<'_>, place: usize, row: &UnitSetUpsert<'a>) -> Result<Entry<'a>, Violation> {
    let mut given = Given::new(cx.writer, row.is_new);
    let code = check::code(row.code, 100)?;
    given.take(UnitSetField::Code, &Patch::Set(code));
    let name = given.optional(UnitSetField::Name, check::required_text("name", row.name, 200, row.is_new)?);
    let units = match &row.units {
        Patch::Keep if !row.is_new => None,
        Patch::Set(lines) if !lines.is_empty() => Some(units::stored(lines, None)?),
        Patch::Keep | Patch::Clear | Patch::Set(_) => return Err(check::required("units")),
    };
    given.take(UnitSetField::Units, &row.units);
    Ok(Entry { place, id: row.id, is_new: row.is_new, given: given.mask(), code, name, units })
}

/// Creates and changes unit sets; see [`crate::commerce`] for what every upsert does.
pub async fn upsert_unit_sets(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[UnitSetUpsert<'_>],
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

    let (new, known): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.is_new);
    if !new.is_empty() {
        queries::insert(conn, cx, &new).await?;
        queries::insert_lines(conn, &new).await?;
        new.iter().for_each(|entry| outcomes.set(entry.place, Outcome::Created));
    }
    if !known.is_empty() {
        queries::lock(conn, &known).await?;
        let changed_lines = queries::changed_lines(conn, &known).await?;
        let mut rewritten = Vec::new();
        for (place, changed) in queries::update(conn, cx, &known, &changed_lines).await? {
            outcomes.set(place, if changed == 0 { Outcome::Unchanged } else { Outcome::Updated });
            if changed & UnitSetField::Units.bit() != 0 {
                rewritten.extend(known.iter().copied().filter(|entry| entry.place == place));
            }
        }
        if !rewritten.is_empty() {
            queries::delete_lines(conn, &rewritten).await?;
            queries::insert_lines(conn, &rewritten).await?;
        }
    }
    Ok(outcomes.finish())
}

//! What a row of a code list must hold.

use crate::commerce::{
    Patch, WriteContext, check,
    outcome::{Outcomes, Violation},
    ownership::{CodeListField, Given},
};

#[derive(Debug, Clone, Copy, Default)]
pub struct CodeListUpsert<'a> {
    pub id: i64,
    pub is_new: bool,
    pub code: &'a str,
    pub name: Patch<&'a str>,
    pub is_active: Patch<bool>,
}

/// A row as the statements take it.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) place: usize,
    pub(crate) id: i64,
    pub(crate) is_new: bool,
    pub(crate) given: i64,
    pub(crate) code: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) is_active: bool,
}

pub(crate) fn prepare<'a>(
    cx: &WriteContext<'_>,
    rows: &[CodeListUpsert<'a>],
    outcomes: &mut Outcomes,
) -> Vec<Entry<'a>> {
    let judge = |(place, row): (usize, &CodeListUpsert<'a>)| -> Result<Entry<'a>, (usize, Violation)> {
        let mut given = Given::new(cx.writer, row.is_new);
        let code = check::code(row.code, 100).map_err(|violation| (place, violation))?;
        let name = check::required_text("name", row.name, 200, row.is_new).map_err(|violation| (place, violation))?;
        given.take(CodeListField::Code, &Patch::Set(code));
        let name = given.optional(CodeListField::Name, name);
        let is_active = given.defaulted(CodeListField::IsActive, row.is_active, true);
        Ok(Entry { place, id: row.id, is_new: row.is_new, given: given.mask(), code, name, is_active })
    };
    let mut entries = Vec::with_capacity(rows.len());
    for judged in rows.iter().enumerate().map(judge) {
        match judged {
            Ok(entry) => entries.push(entry),
            Err((place, violation)) => outcomes.refuse(place, violation),
        }
    }
    entries
}

//! The fields of a change by name, as what an upsert says about them: absent keeps, null clears.

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::Resolved;
use crate::{
    canonical::{Entity, FieldSpec, FieldType, Value},
    commerce::{Patch, UnitLine},
};

/// Reads a change by the names of its schema.
pub(super) struct Fields<'r, 'a> {
    entity: Entity,
    values: &'a [Value<'a>],
    refs: &'r [Option<i64>],
}

impl<'r, 'a> Fields<'r, 'a>
where
    'a: 'r,
{
    pub(super) fn of(row: &Resolved<'a>) -> Fields<'a, 'a> {
        Fields { entity: row.change.entity, values: &row.change.values, refs: row.refs }
    }

    /// A name that is not in the schema reads as absent.
    fn place(&self, name: &str) -> Option<usize> {
        self.entity.field(name)
    }

    fn value(&self, name: &str) -> &'a Value<'a> {
        self.place(name).and_then(|place| self.values.get(place)).unwrap_or(&Value::Absent)
    }

    fn patch<T>(&self, name: &str, read: impl FnOnce(&'a Value<'a>) -> Option<T>) -> Patch<T> {
        match self.value(name) {
            Value::Absent => Patch::Keep,
            value => read(value).into(),
        }
    }

    pub(super) fn text(&self, name: &str) -> Patch<&'a str> {
        self.patch(name, Value::as_text)
    }

    pub(super) fn decimal(&self, name: &str) -> Patch<Decimal> {
        self.patch(name, Value::as_decimal)
    }

    pub(super) fn int(&self, name: &str) -> Patch<i64> {
        self.patch(name, Value::as_int)
    }

    pub(super) fn flag(&self, name: &str) -> Patch<bool> {
        self.patch(name, Value::as_bool)
    }

    pub(super) fn date(&self, name: &str) -> Patch<NaiveDate> {
        self.patch(name, Value::as_date)
    }

    /// The internal id that the code of a reference was resolved to.
    pub(super) fn reference(&self, name: &str) -> Patch<i64> {
        let Some(place) = self.place(name) else { return Patch::Keep };
        match self.values.get(place) {
            None | Some(Value::Absent) => Patch::Keep,
            Some(_) => self.refs.get(place).copied().flatten().into(),
        }
    }

    /// The rows of a list field, each by the names of the list's own fields.
    pub(super) fn list<T>(&self, name: &str, mut read: impl FnMut(ListRow<'a>) -> T) -> Patch<Vec<T>> {
        let Some(place) = self.place(name) else { return Patch::Keep };
        let FieldType::List(specs) = self.entity.fields()[place].kind else { return Patch::Keep };
        self.patch(name, |value| {
            let rows = value.as_list()?;
            Some(rows.iter().map(|values| read(ListRow { specs, values })).collect())
        })
    }

    pub(super) fn units(&self, name: &str) -> Patch<Vec<UnitLine<'a>>> {
        self.list(name, |row| UnitLine {
            unit: row.text("code").unwrap_or_default(),
            name: row.text("name"),
            numerator: row.decimal("numerator"),
            denominator: row.decimal("denominator"),
            is_main: row.flag("isMain"),
            decimals: None,
            weight: row.decimal("weight"),
            barcode: row.text("barcode"),
        })
    }
}

/// One row of a list field.
#[derive(Clone, Copy)]
pub(super) struct ListRow<'a> {
    specs: &'static [FieldSpec],
    values: &'a [Value<'a>],
}

impl<'a> ListRow<'a> {
    fn value(&self, name: &str) -> &'a Value<'a> {
        let place = self.specs.iter().position(|spec| spec.name == name);
        place.and_then(|place| self.values.get(place)).unwrap_or(&Value::Absent)
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.value(name).as_text()
    }

    pub(super) fn decimal(&self, name: &str) -> Option<Decimal> {
        self.value(name).as_decimal()
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.value(name).as_bool()
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.value(name).as_int()
    }

    pub(super) fn date(&self, name: &str) -> Option<NaiveDate> {
        self.value(name).as_date()
    }
}

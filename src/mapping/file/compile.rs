//! One mapping file to one [`Mapping`].

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::canonical::{Entity, FieldType};
use crate::mapping::compiled::{Mapping, Skip};
use crate::mapping::parts::PartSet;
use crate::mapping::problem::{Report, suggest};
use crate::mapping::rule::{Blanks, Join, Source, Then};
use crate::mapping::source::Shape;
use crate::mapping::value::{Literal, Transform};

use super::condition::conditions;
use super::field::{Defaults, Fields};
use super::origin;
use super::section::{Section, parse_document, section_of};
use super::tables::Tables;
use super::version;

/// None when there were problems; they are in the report.
pub(super) fn compile(name: &str, text: &str, shared: &Tables, report: &mut Report<'_>) -> Option<Mapping> {
    let before = report.len();
    let document = parse_document(text, report);
    if report.len() > before {
        // What a broken file seems to say would only be told as further problems that are none.
        return None;
    }
    let mut root = Section::new(&document, 0..0, "the file");
    let entity = entity(&mut root, report);
    let records = match root.section("records", report) {
        Some(section) => origin::records(section, report),
        None => {
            report.add(&(0..0), "there is no [records]", "say where the records are: [records] json = \"items\"");
            Default::default()
        }
    };
    let mut tables = shared.clone();
    if let Some(section) = root.section("tables", report) {
        tables.read(&section, report);
    }
    let defaults = root.section("defaults", report).map(|section| Defaults::read(section, report)).unwrap_or_default();
    let mut rules = HashMap::new();
    if let Some(section) = root.section("rules", report) {
        rules.extend(section.entries().map(|(name, _, value)| (name, (value, false))));
    }
    let mut fields = Fields { defaults, tables: &mut tables, rules, needs_whole: false };
    let mut shape = Shape::default();

    let code = root.section("key", report).map(|mut section| {
        let kind = FieldType::Ref(entity.unwrap_or(Entity::Product));
        let mut rule = fields.scalar(&mut section, kind, vec![Transform::NullIfEmpty], &mut shape, report);
        if rule.default.is_some() {
            report.add(&section.span, "a code has no default", "remove `default`");
        }
        if let Source::Join(join) = &mut rule.source {
            never_half(join);
        }
        for case in &mut rule.cases {
            if let Then::Join(join) = &mut case.then {
                never_half(join);
            }
        }
        section.finish(report);
        rule
    });
    if code.is_none() && !root.has("key") {
        report.add(&(0..0), "there is no [key]", "say which field is the external code: [key] from = \"CODE\"");
    }
    let external_id = root.section("external_id", report).map(|mut section| {
        // 0 is LOGO's "none", and would stand on many records.
        let steps = vec![Transform::Integer, Transform::NullIfEmpty, Transform::NullIf(vec![Literal::new("0", true)])];
        let rule = fields.scalar(&mut section, FieldType::Text(64), steps, &mut shape, report);
        section.finish(report);
        rule
    });
    let parts = root.texts("parts", report);
    let version = root.section("version", report).and_then(|section| version::version(section, &mut shape, report));
    let skips = skips(&mut root, &mut shape, report);
    let search_keys = root.texts("search_keys", report);
    let section = root.value("fields").and_then(|value| section_of(value, "[fields]".into(), "fields", report));
    root.finish(report);
    let entity = entity?;
    let Some(section) = section else {
        report.add(&(0..0), "there is no [fields]", "add [fields.NAME] for each field that the source carries");
        return None;
    };
    let compiled = fields.read_all(&section, entity.fields(), &format!("the entity {entity}"), &mut shape, report);
    for (name, (rule, used)) in &fields.rules {
        if !used {
            report.add(
                &rule.span(),
                format!("[[rules.{name}]] is used by no field"),
                format!("write cases = \"{name}\""),
            );
        }
    }
    let needs_whole = fields.needs_whole;
    let search_keys = search_keys
        .into_iter()
        .filter_map(|(name, span)| {
            let place = entity.field(&name);
            if place.is_none() {
                let remedy = suggest(&name, entity.fields().iter().map(|field| field.name));
                report.add(&span, format!("the entity {entity} has no field `{name}`"), remedy);
            }
            place
        })
        .collect();
    if report.len() > before {
        return None;
    }
    let references = compiled
        .iter()
        .filter_map(|field| match field.spec.kind {
            FieldType::Ref(entity) => Some((field.target, entity, field.on_missing.clone())),
            _ => None,
        })
        .collect();
    Some(Mapping {
        name: name.to_owned(),
        entity,
        hash: content_hash(text, &tables),
        records,
        needs_whole,
        skips,
        code: code?,
        external_id,
        version,
        fields: compiled,
        references,
        search_keys,
        shape,
        parts: PartSet::wanted(parts),
    })
}

/// Half a key is another key.
fn never_half(join: &mut Join) {
    if join.blanks == Blanks::Skip {
        join.blanks = Blanks::Never;
    }
}

fn entity(root: &mut Section<'_>, report: &mut Report<'_>) -> Option<Entity> {
    let names: Vec<&str> = Entity::ALL.into_iter().map(Entity::as_str).collect();
    if !root.has("entity") {
        report.add(&(0..0), "the file does not say what it maps to", "add `entity = \"product\"`");
    }
    root.word("entity", &names, Entity::parse, report)
}

fn skips(root: &mut Section<'_>, shape: &mut Shape, report: &mut Report<'_>) -> Vec<Skip> {
    let mut skips = Vec::new();
    for mut section in root.sections("skip", report) {
        let reason = section.text("reason", report);
        let when = conditions(&mut section, shape, report);
        match reason {
            Some((reason, span)) => {
                let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
                if reason.is_empty() || !reason.bytes().all(fine) {
                    report.add(&span, "a reason is one word of a-z, 0-9 and `_`", "for example \"default_row\"");
                }
                skips.push(Skip { reason, when });
            }
            None => report.add(&section.span, "[[skip]] has no `reason`", "add the word under which they are counted"),
        }
        section.finish(report);
    }
    skips
}

pub(super) fn content_hash(text: &str, tables: &Tables) -> String {
    let mut hasher = Sha256::new();
    hasher.update(text.as_bytes());
    for table in tables.used() {
        hasher.update([0]);
        hasher.update(table.name.as_bytes());
        for (code, value) in table.sorted() {
            for part in [code, value] {
                hasher.update([0]);
                hasher.update(part.as_bytes());
            }
        }
    }
    crate::mapping::hex(&hasher.finalize())
}

//! `[fields.NAME]`, and the code and external id, which are fields by another name.

use std::collections::HashMap;

use toml::Spanned;
use toml::de::DeValue;

use crate::canonical::{FieldSpec, FieldType, Value};
use crate::mapping::problem::{Report, suggest};
use crate::mapping::rule::{
    Absent, Blanks, Case, Entry, Expression, Field, FieldKind, Join, ListRule, ObjectRule, OnMissing, Piece, Required,
    Rows, ScalarRule, Source, TableUse, Then,
};
use crate::mapping::source::{Shape, write_string};
use crate::mapping::value::{DateFormat, Formats, NumberFormat, OnUnmapped, Scalar, TooLong, Transform, convert};

use super::condition::{conditions, literals, path_of, paths_of};
use super::section::{Section, items, literal, section_of, wrong};
use super::tables::Tables;

/// What `[defaults]` says for every field.
#[derive(Default, Clone)]
pub(super) struct Defaults {
    pub transforms: Vec<Transform>,
    pub absent: [Absent; 3],
    pub formats: Formats,
}

/// What the fields of one file share while it is compiled.
pub(super) struct Fields<'c, 'd> {
    pub defaults: Defaults,
    pub tables: &'c mut Tables,
    /// `[[rules.NAME]]`: cases that have a name. True once used.
    pub rules: HashMap<&'d str, (&'d Spanned<DeValue<'d>>, bool)>,
    /// An expression needs the whole record.
    pub needs_whole: bool,
}

impl Defaults {
    pub(super) fn read(mut section: Section<'_>, report: &mut Report<'_>) -> Self {
        let formats = formats(&mut section, Formats::default(), report);
        let defaults = Defaults {
            transforms: transforms(&mut section, report).unwrap_or_default(),
            absent: absent(&mut section, [Absent::Keep; 3], report),
            formats,
        };
        section.finish(report);
        defaults
    }
}

impl<'d> Fields<'_, 'd> {
    /// The fields under `[fields]`, checked against what there is.
    pub(super) fn read_all(
        &mut self,
        section: &Section<'d>,
        specs: &'static [FieldSpec],
        owner: &str,
        shape: &mut Shape,
        report: &mut Report<'_>,
    ) -> Vec<Field> {
        let mut fields = Vec::new();
        for (name, span, value) in section.entries() {
            let Some(target) = specs.iter().position(|spec| spec.name == name) else {
                let remedy = suggest(name, specs.iter().map(|spec| spec.name));
                report.add(&span, format!("{owner} has no field `{name}`"), remedy);
                continue;
            };
            let Some(table) = section_of(value, format!("[fields.{name}]"), name, report) else { continue };
            fields.extend(self.read(table, target, &specs[target], shape, report));
        }
        for spec in specs.iter().filter(|spec| spec.required) {
            if !section.has(spec.name) {
                let what = format!("the required field `{}` of {owner} has no rule", spec.name);
                report.add(&section.span, what, format!("add [fields.{}]", spec.name));
            }
        }
        fields.sort_by_key(|field| field.target);
        fields
    }

    fn read(
        &mut self,
        mut section: Section<'d>,
        target: usize,
        spec: &'static FieldSpec,
        shape: &mut Shape,
        report: &mut Report<'_>,
    ) -> Option<Field> {
        let required = required(&mut section, spec.required, report);
        let absent = absent(&mut section, self.defaults.absent, report);
        let mut on_missing = section.word("on_missing", &OnMissing::NAMES, OnMissing::parse, report);
        if on_missing.is_some() && !matches!(spec.kind, FieldType::Ref(_)) {
            let what = format!("`on_missing` is for references, and `{}` is none", spec.name);
            report.add(&section.span, what, "remove it");
        }
        let known_unit = section.flag("known", report).unwrap_or(false);
        if known_unit && spec.name != "unit" {
            report.add(&section.span, "`known` is for the unit of a record", "remove it");
        }
        let kind = match spec.kind {
            FieldType::List(specs) => FieldKind::List(self.list(&mut section, specs, spec.name, shape, report)?),
            FieldType::Json if section.has("object") => FieldKind::Object(self.object(&mut section, shape, report)),
            kind => {
                let kind = bounded(&mut section, kind, report);
                let transforms = match kind {
                    FieldType::Ref(_) => vec![Transform::NullIfEmpty],
                    _ => self.defaults.transforms.clone(),
                };
                FieldKind::Scalar(self.scalar(&mut section, kind, transforms, shape, report))
            }
        };
        if let Some(OnMissing::CreateDefault(code)) = &mut on_missing {
            match &kind {
                FieldKind::Scalar(ScalarRule { default: Some(Value::Text(default)), .. }) => {
                    *code = default.as_ref().into()
                }
                _ => {
                    report.add(&section.span, "`create_default` makes the default, and there is none", "add `default`")
                }
            }
        }
        section.finish(report);
        let on_missing = on_missing.unwrap_or_default();
        Some(Field { target, spec, kind, required, absent, on_missing, known_unit })
    }

    /// Everything that makes one value. The section is finished by the caller.
    pub(super) fn scalar(
        &mut self,
        section: &mut Section<'d>,
        kind: FieldType,
        default_transforms: Vec<Transform>,
        shape: &mut Shape,
        report: &mut Report<'_>,
    ) -> ScalarRule {
        let formats = formats(section, self.defaults.formats, report);
        let transforms = transforms(section, report).unwrap_or(default_transforms);
        if matches!(kind, FieldType::Ref(_)) && transforms.iter().any(Transform::folds_case) {
            report.add(&section.span, "codes must not change their case", "remove upper_tr and lower_tr");
        }
        let cases = self.cases(section, kind, shape, report);
        let source = self.source(section, kind, shape, report);
        let table = self.table(section, report);
        let default = section.value("default").and_then(|value| constant("default", value, kind, report));
        if matches!(source, Source::Nothing) && cases.is_empty() && default.is_none() {
            let what = format!("{} says nowhere what the value comes from", section.name);
            report.add(&section.span, what, "add one of: from, join, value, cases, cel, default");
        }
        ScalarRule { cases, source, transforms, table, kind, formats, default }
    }

    fn source(
        &mut self,
        section: &mut Section<'d>,
        kind: FieldType,
        shape: &mut Shape,
        report: &mut Report<'_>,
    ) -> Source {
        let from = section.texts("from", report);
        let join = join(section, shape, report);
        let constant = section.value("value").map(|value| constant("value", value, kind, report));
        let cel = section.text("cel", report);
        let given = [!from.is_empty(), join.is_some(), constant.is_some(), cel.is_some()];
        if given.iter().filter(|given| **given).count() > 1 {
            let what = format!("{} has more than one of `from`, `join`, `value` and `cel`", section.name);
            report.add(&section.span, what, "keep one of them");
        }
        if !from.is_empty() {
            Source::From(paths_of(&from, shape, report))
        } else if let Some(join) = join {
            Source::Join(join)
        } else if let Some(value) = constant {
            value.map_or(Source::Nothing, Source::Constant)
        } else if let Some((text, span)) = cel {
            self.needs_whole = true;
            match Expression::compile(&text) {
                Ok(expression) => Source::Cel(expression),
                Err(what) => {
                    report.add(&span, format!("the expression is wrong: {what}"), "see docs/mappings.md on `cel`");
                    // Not nothing: that would be told as a second problem.
                    Source::Constant(Value::Null)
                }
            }
        } else {
            Source::Nothing
        }
    }

    /// `cases` in place, or the name of `[[rules.NAME]]`.
    fn cases(
        &mut self,
        section: &mut Section<'d>,
        kind: FieldType,
        shape: &mut Shape,
        report: &mut Report<'_>,
    ) -> Vec<Case> {
        let Some(mut value) = section.value("cases") else { return Vec::new() };
        if let DeValue::String(name) = value.get_ref() {
            match self.rules.get_mut(name.as_ref()) {
                Some((rule, used)) => {
                    *used = true;
                    value = rule;
                }
                None => {
                    let remedy = suggest(name, self.rules.keys().copied());
                    report.add(&value.span(), format!("there is no [[rules.{name}]]"), remedy);
                    return Vec::new();
                }
            }
        }
        let mut cases = Vec::new();
        for item in items(value) {
            let Some(mut table) = section_of(item, "a case".into(), "cases", report) else { continue };
            let when = conditions(&mut table, shape, report);
            let from = table.texts("from", report);
            let join = join(&mut table, shape, report);
            let then = match (table.value("value"), join) {
                (Some(value), _) => constant("value", value, kind, report).map(Then::Value),
                (None, Some(join)) => Some(Then::Join(join)),
                (None, None) if from.is_empty() => {
                    report.add(&table.span, "the case gives nothing", "add `value`, `from` or `join`");
                    None
                }
                (None, None) => Some(Then::From(paths_of(&from, shape, report))),
            };
            table.finish(report);
            cases.extend(then.map(|then| Case { when, then }));
        }
        cases
    }

    fn table(&mut self, section: &mut Section<'d>, report: &mut Report<'_>) -> Option<TableUse> {
        let table = section.text("table", report);
        let on_unmapped = section.word("unmapped", &OnUnmapped::NAMES, OnUnmapped::parse, report);
        match table {
            Some((name, span)) => {
                let table = self.tables.get(&name, &span, report)?;
                Some(TableUse { table, on_unmapped: on_unmapped.unwrap_or_default() })
            }
            None => {
                if on_unmapped.is_some() {
                    report.add(&section.span, "`unmapped` is about a code table", "add `table`, or remove it");
                }
                None
            }
        }
    }

    fn list(
        &mut self,
        section: &mut Section<'d>,
        specs: &'static [FieldSpec],
        owner: &str,
        shape: &mut Shape,
        report: &mut Report<'_>,
    ) -> Option<ListRule> {
        let each = section.texts("each", report);
        let itself = each.iter().any(|(text, _)| text == ".");
        if each.is_empty() {
            let what = format!("{} is a list and has no `each`", section.name);
            report.add(
                &section.span,
                what,
                "say where the rows are: each = \"UNITS.items\", or \".\" for the record itself",
            );
        } else if itself && each.len() > 1 {
            report.add(&section.span, "`each = \".\"` stands alone", "remove the other places");
        }
        let mut own = Shape::default();
        let paths = if itself { Vec::new() } else { paths_of(&each, shape, report) };
        let inner = if itself { shape } else { &mut own };
        let Some(fields) = section.section("fields", report) else {
            report.add(&section.span, format!("{} has no `fields`", section.name), "add [fields.LIST.fields.NAME]");
            return None;
        };
        // A row is told as a whole: what it does not carry is empty.
        let outer = std::mem::replace(&mut self.defaults.absent, [Absent::Null; 3]);
        let fields = self.read_all(&fields, specs, &format!("a row of `{owner}`"), inner, report);
        self.defaults.absent = outer;
        let skip = section
            .sections("skip", report)
            .into_iter()
            .map(|mut table| {
                let when = conditions(&mut table, inner, report);
                table.finish(report);
                when
            })
            .collect();
        let single_true = section.text("single_true", report).and_then(|(name, span)| {
            let place = specs.iter().position(|spec| spec.name == name && spec.kind == FieldType::Bool);
            if place.is_none() {
                let flags = specs.iter().filter(|spec| spec.kind == FieldType::Bool).map(|spec| spec.name);
                report.add(&span, format!("the rows have no flag `{name}`"), suggest(&name, flags));
            }
            place
        });
        let keep_when_empty = section
            .word(
                "when_empty",
                &["keep", "set"],
                |word| matches!(word, "keep" | "set").then_some(word == "keep"),
                report,
            )
            .unwrap_or(false);
        let rows = if itself { Rows::Itself } else { Rows::Of { paths, shape: own } };
        Some(ListRule { rows, fields, width: specs.len(), skip, single_true, keep_when_empty })
    }

    fn object(&mut self, section: &mut Section<'d>, shape: &mut Shape, report: &mut Report<'_>) -> ObjectRule {
        let transforms = transforms(section, report).unwrap_or_else(|| self.defaults.transforms.clone());
        let mut entries = Vec::new();
        if let Some(object) = section.section("object", report) {
            for (key, _, value) in object.entries() {
                let mut texts = Vec::new();
                for item in items(value) {
                    match item.get_ref() {
                        DeValue::String(text) => texts.push((text.to_string(), item.span())),
                        other => wrong(report, &item.span(), key, "a path in quotes, or a list of them", other),
                    }
                }
                let mut quoted = String::new();
                write_string(key, &mut quoted);
                entries.push(Entry { key: quoted, paths: paths_of(&texts, shape, report) });
            }
        }
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        ObjectRule { entries, transforms }
    }
}

/// `join = ["productCode", "=list"]`: paths, constants with `=` before them, `{ number = PATH }` and `{ date = PATH }`.
fn join(section: &mut Section<'_>, shape: &mut Shape, report: &mut Report<'_>) -> Option<Join> {
    let pieces: Vec<_> = section.value("join").map(items).unwrap_or_default();
    let separator = section.text("separator", report).map(|(text, _)| text);
    let all = section.flag("all", report).unwrap_or(false);
    let blanks = section.word("blanks", &Blanks::NAMES, Blanks::parse, report);
    if pieces.is_empty() {
        if separator.is_some() || all || blanks.is_some() {
            let what = "`separator`, `all` and `blanks` belong to `join`";
            report.add(&section.span, what, "add `join`, or remove them");
        }
        return None;
    }
    let pieces = pieces.into_iter().filter_map(|item| piece(item, shape, report)).collect();
    let blanks = blanks.unwrap_or(if all { Blanks::Never } else { Blanks::Skip });
    Some(Join { pieces, separator: separator.unwrap_or_default(), blanks })
}

fn piece(item: &Spanned<DeValue<'_>>, shape: &mut Shape, report: &mut Report<'_>) -> Option<Piece> {
    match item.get_ref() {
        DeValue::String(text) => match text.strip_prefix('=') {
            Some(constant) => Some(Piece::Constant(constant.into())),
            None => path_of(text, &item.span(), shape, report).map(Piece::Path),
        },
        DeValue::Table(_) => {
            let mut table = section_of(item, "a piece of `join`".into(), "join", report)?;
            let number = table.text("number", report);
            let date = table.text("date", report);
            let empty = table.value("empty").and_then(|value| literal(value.get_ref()));
            let piece = match (number, date) {
                (Some((text, span)), None) => {
                    let empty = empty.and_then(|(text, _)| text.parse().ok());
                    path_of(&text, &span, shape, report).map(|path| Piece::Number { path, empty })
                }
                (None, Some((text, span))) => path_of(&text, &span, shape, report).map(Piece::Date),
                _ => {
                    report.add(
                        &table.span,
                        "a piece is one number or one date",
                        "write { number = PATH } or { date = PATH }",
                    );
                    None
                }
            };
            table.finish(report);
            piece
        }
        other => {
            wrong(report, &item.span(), "join", "paths in quotes, or tables like { number = PATH }", other);
            None
        }
    }
}

/// `required = true`, or `"when_new"`, which also takes back what the entity demands of every record.
fn required(section: &mut Section<'_>, by_entity: bool, report: &mut Report<'_>) -> Required {
    let word = |word: &str| (word == "when_new").then_some(Required::WhenNew);
    match section.value("required").map(Spanned::get_ref) {
        Some(DeValue::String(_)) => section.word("required", &["when_new"], word, report).unwrap_or(Required::WhenNew),
        _ if section.flag("required", report).unwrap_or(false) || by_entity => Required::Yes,
        _ => Required::No,
    }
}

/// `negative = false`: the source's own bound of a figure that may be below 0 elsewhere. `longest = 50`: of a text that may
/// be longer elsewhere.
fn bounded(section: &mut Section<'_>, kind: FieldType, report: &mut Report<'_>) -> FieldType {
    let mut kind = kind;
    if let Some(value) = section.value("longest") {
        let longest = literal(value.get_ref()).and_then(|(text, _)| text.parse::<usize>().ok());
        match (longest, kind) {
            (Some(longest), FieldType::Text(most)) if (1..=most).contains(&longest) => kind = FieldType::Text(longest),
            _ => report.add(
                &value.span(),
                "`longest` is for texts, and below what the field takes",
                "write a smaller number",
            ),
        }
    }
    match (section.flag("negative", report), kind) {
        (Some(negative), FieldType::Decimal { scale, negative: true }) => FieldType::Decimal { scale, negative },
        (Some(true), _) | (Some(false), FieldType::Decimal { .. }) | (None, _) => kind,
        (Some(false), _) => {
            report.add(&section.span, "`negative` is for numbers with decimals", "remove it");
            kind
        }
    }
}

fn formats(section: &mut Section<'_>, defaults: Formats, report: &mut Report<'_>) -> Formats {
    let too_long = |word: &str| match word {
        "fail" => Some(TooLong::Fail),
        "cut" => Some(TooLong::Cut),
        _ => None,
    };
    Formats {
        number: section.word("number", &NumberFormat::NAMES, NumberFormat::parse, report).unwrap_or(defaults.number),
        date: section.word("date", &DateFormat::NAMES, DateFormat::parse, report).unwrap_or(defaults.date),
        too_long: section.word("too_long", &["fail", "cut"], too_long, report).unwrap_or(defaults.too_long),
    }
}

/// `absent = "null"`, or `{ json = "null", xml = "keep" }`.
fn absent(section: &mut Section<'_>, defaults: [Absent; 3], report: &mut Report<'_>) -> [Absent; 3] {
    const NAMES: [&str; 2] = ["keep", "null"];
    let word = |word: &str| match word {
        "keep" => Some(Absent::Keep),
        "null" => Some(Absent::Null),
        _ => None,
    };
    match section.value("absent").map(Spanned::get_ref) {
        None => defaults,
        Some(DeValue::Table(_)) => {
            let Some(mut table) = section.section("absent", report) else { return defaults };
            let mut by_format = defaults;
            for (place, key) in ["json", "xml", "csv"].into_iter().enumerate() {
                if let Some(meaning) = table.word(key, &NAMES, word, report) {
                    by_format[place] = meaning;
                }
            }
            table.finish(report);
            by_format
        }
        Some(_) => section.word("absent", &NAMES, word, report).map_or(defaults, |meaning| [meaning; 3]),
    }
}

/// A plain value of the file, checked against the type of the field that it is for.
fn constant(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    kind: FieldType,
    report: &mut Report<'_>,
) -> Option<Value<'static>> {
    let scalar = match (literal(value.get_ref()), value.get_ref()) {
        (_, DeValue::Boolean(flag)) => Scalar::Bool(*flag),
        (Some((text, true)), _) => Scalar::Number(text.into()),
        (Some((text, false)), _) => Scalar::Text(text.into()),
        (None, other) => {
            wrong(report, &value.span(), key, "one plain value", other);
            return None;
        }
    };
    match convert(scalar, kind, Formats::default()) {
        Ok(value) => Some(value.into_owned()),
        Err(refusal) => {
            let what = format!("`{key}` does not fit the field: {}", refusal.detail);
            report.add(&value.span(), what, "write a value of the field's type");
            None
        }
    }
}

fn transforms(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<Vec<Transform>> {
    let value = section.value("transforms")?;
    Some(items(value).into_iter().filter_map(|item| transform(item, report)).collect())
}

fn transform(item: &Spanned<DeValue<'_>>, report: &mut Report<'_>) -> Option<Transform> {
    let span = item.span();
    let table = match item.get_ref() {
        DeValue::String(word) => {
            let found = Transform::word(word);
            if found.is_none() {
                let known = Transform::WORDS.into_iter().chain(Transform::TABLES);
                report.add(&span, format!("there is no transform `{word}`"), suggest(word, known));
            }
            return found;
        }
        DeValue::Table(table) if table.len() == 1 => table,
        other => {
            wrong(report, &span, "transforms", "names, or tables of one name like { cut = 50 }", other);
            return None;
        }
    };
    let (name, value) = table.iter().next()?;
    let text = || match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    };
    let found = match name.get_ref().as_ref() {
        "null_if" => Some(Transform::NullIf(literals("null_if", value, report))),
        "cut" => literal(value.get_ref()).and_then(|(text, _)| text.parse().ok()).map(Transform::Cut),
        "strip" => text().map(|text| Transform::Strip(text.into())),
        "prefix" => text().map(|text| Transform::Prefix(text.into())),
        "replace" => pair(value).map(|(from, to)| Transform::Replace(from.into(), to.into())),
        other => {
            let known = Transform::WORDS.into_iter().chain(Transform::TABLES);
            report.add(&name.span(), format!("there is no transform `{other}`"), suggest(other, known));
            return None;
        }
    };
    if found.is_none() {
        report.add(
            &value.span(),
            format!("`{}` cannot take that", name.get_ref()),
            "see docs/mappings.md on transforms",
        );
    }
    found
}

/// Two texts, the first not empty.
fn pair(value: &Spanned<DeValue<'_>>) -> Option<(String, String)> {
    let DeValue::Array(items) = value.get_ref() else { return None };
    match items.iter().map(|item| item.get_ref().as_str()).collect::<Vec<_>>()[..] {
        [Some(from), Some(to)] if !from.is_empty() => Some((from.to_owned(), to.to_owned())),
        _ => None,
    }
}

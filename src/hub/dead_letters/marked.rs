//! A payload as a person reads it, with the part that failed marked.

use std::borrow::Cow;

use serde_json::Value;

use crate::mapping::Format;

/// Stands before a line that holds what failed.
const MARK: &str = ">> ";
const PLAIN: &str = "   ";

/// The document, spread over lines; those that hold one of `sources` (paths as the mapping names them) are marked.
pub(super) fn marked(format: Format, document: &str, sources: &[String]) -> String {
    let paths: Vec<Vec<&str>> = sources.iter().map(|source| segments(source)).filter(|path| !path.is_empty()).collect();
    let mut lines = Vec::new();
    match format {
        Format::Json => match serde_json::from_str::<Value>(document) {
            Ok(value) => {
                let mut writer = Writer { paths: &paths, at: Vec::new(), lines: &mut lines };
                writer.value("", &value, "", 0);
            }
            Err(_) => plain(document, &mut lines),
        },
        Format::Xml => {
            for line in spread(document).lines() {
                let holds = |path: &Vec<&str>| path.last().is_some_and(|name| names_element(line, name));
                lines.push((paths.iter().any(holds), line.to_owned()));
            }
        }
        Format::Csv => columns(document, &paths, &mut lines),
    }
    let mut text = String::new();
    for (is_marked, line) in lines {
        text.push_str(if is_marked { MARK } else { PLAIN });
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn plain(document: &str, lines: &mut Vec<(bool, String)>) {
    lines.extend(document.lines().map(|line| (false, line.to_owned())));
}

/// The names of a path, without places in lists and conditions on rows.
fn segments(source: &str) -> Vec<&str> {
    let without_conditions = source.split('[').next().unwrap_or_default();
    let quoted = without_conditions.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    match quoted {
        Some(name) => vec![name],
        None => {
            let names = without_conditions.split('.').map(|name| name.trim().trim_matches('\''));
            names.filter(|name| !name.is_empty() && name.parse::<usize>().is_err()).collect()
        }
    }
}

struct Writer<'a, 'v> {
    paths: &'a [Vec<&'a str>],
    /// The keys above the value in hand.
    at: Vec<&'v str>,
    lines: &'a mut Vec<(bool, String)>,
}

impl<'v> Writer<'_, 'v> {
    fn value(&mut self, before: &str, value: &'v Value, after: &str, depth: usize) {
        let indent = "  ".repeat(depth);
        let is_marked = self.is_here();
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                self.lines.push((is_marked, format!("{indent}{before}{{")));
                for (place, (key, value)) in fields.iter().enumerate() {
                    let comma = if place + 1 < fields.len() { "," } else { "" };
                    self.at.push(key);
                    self.value(&format!("{}: ", Value::from(key.as_str())), value, comma, depth + 1);
                    self.at.pop();
                }
                self.lines.push((false, format!("{indent}}}{after}")));
            }
            Value::Array(items) if !items.is_empty() => {
                self.lines.push((is_marked, format!("{indent}{before}[")));
                for (place, item) in items.iter().enumerate() {
                    let comma = if place + 1 < items.len() { "," } else { "" };
                    // Of a list only its own line is marked, not each of its rows.
                    self.at.push("");
                    self.value("", item, comma, depth + 1);
                    self.at.pop();
                }
                self.lines.push((false, format!("{indent}]{after}")));
            }
            leaf => self.lines.push((is_marked, format!("{indent}{before}{leaf}{after}"))),
        }
    }

    /// Whether the keys above end with one of the paths; places in lists count as nothing.
    fn is_here(&self) -> bool {
        if self.at.last().is_none_or(|last| last.is_empty()) {
            return false;
        }
        let keys: Vec<&str> = self.at.iter().copied().filter(|key| !key.is_empty()).collect();
        self.paths.iter().any(|path| keys.ends_with(path))
    }
}

/// A document of one line gets a line for each element.
fn spread(document: &str) -> Cow<'_, str> {
    if document.trim_end().contains('\n') { Cow::Borrowed(document) } else { document.replace("><", ">\n<").into() }
}

/// Whether a line opens this element, or has this attribute.
fn names_element(line: &str, name: &str) -> bool {
    let (lead, name) = match name.strip_prefix('@') {
        Some(attribute) => (" ", attribute),
        None => ("<", name),
    };
    line.match_indices(name).any(|(at, _)| {
        let before = &line[..at];
        let starts = before.ends_with(lead) || (lead == "<" && before.ends_with(':') && before.contains('<'));
        let ends = line[at + name.len()..].starts_with(['>', ' ', '/', '=', '\t']);
        starts && ends
    })
}

/// A line for each column: the file's own lines are too long to find anything in.
fn columns(document: &str, paths: &[Vec<&str>], lines: &mut Vec<(bool, String)>) {
    let header = document.lines().next().unwrap_or_default();
    let delimiter = if header.matches(';').count() > header.matches(',').count() { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(document.as_bytes());
    let Ok(names) = reader.headers().cloned() else { return plain(document, lines) };
    for record in reader.records() {
        let Ok(record) = record else { return plain(document, lines) };
        for (name, value) in names.iter().zip(&record) {
            let name = name.trim().trim_start_matches('\u{feff}');
            let is_marked = paths.iter().any(|path| path.last() == Some(&name));
            lines.push((is_marked, format!("{name} = {value}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(format: Format, document: &str, sources: &[&str]) -> Vec<String> {
        let sources: Vec<String> = sources.iter().map(|source| (*source).to_owned()).collect();
        let text = marked(format, document, &sources);
        text.lines().filter_map(|line| line.strip_prefix(MARK)).map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn the_field_of_a_json_record_is_marked_wherever_it_stands() {
        let document = r#"{"items":[{"CODE":"A","NAME":"n","UNITS":{"items":[{"BARCODE":"1"},{"BARCODE":"2"}]}}]}"#;
        assert_eq!(of(Format::Json, document, &["NAME"]), ["\"NAME\": \"n\","]);
        let barcodes = of(Format::Json, document, &["UNITS.items.0.BARCODE"]);
        assert_eq!(barcodes, ["\"BARCODE\": \"1\"", "\"BARCODE\": \"2\""]);
        assert_eq!(of(Format::Json, document, &["UNITS.items[CONV=1].BARCODE"]), ["\"items\": ["]);
        assert_eq!(of(Format::Json, document, &["'NA.ME'"]), Vec::<String>::new());
        assert_eq!(of(Format::Json, r#"{"a.b": 1.50}"#, &["'a.b'"]), ["\"a.b\": 1.50"]);
    }

    #[test]
    fn elements_attributes_and_columns_are_marked() {
        let xml = r#"<ITEMS><ITEM DBOP="INS"><CODE>A</CODE><n:NAME>x</n:NAME><NAME2/></ITEM></ITEMS>"#;
        assert_eq!(of(Format::Xml, xml, &["NAME"]), ["<n:NAME>x</n:NAME>"]);
        assert_eq!(of(Format::Xml, xml, &["@DBOP"]), ["<ITEM DBOP=\"INS\">"]);
        assert_eq!(of(Format::Csv, "CODE;NAME\nA;\"a;b\"\n", &["NAME"]), ["NAME = a;b"]);
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_it_is() {
        assert_eq!(marked(Format::Json, "{\"items\": [", &["NAME".to_owned()]), "   {\"items\": [\n");
    }
}

//! XML pages: no document type, no entities but the five and character references, at most 64 levels.
//!
//! A record becomes a JSON object: an element its key, a repeated element a list, an attribute a key with `@` before it,
//! the text beside attributes the key `#text`. Name spaces are dropped from names.

use std::collections::HashMap;
use std::fmt::Write;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::errors::SyntaxError;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::json::read_row;
use super::page::{Found, Unreadable};
use super::shape::{Row, Shape};

/// The paths of the record elements from the root on: `ITEMS.ITEM`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::mapping) struct XmlRecords {
    pub paths: Vec<Vec<String>>,
}

pub(in crate::mapping) const MAX_DEPTH: usize = 64;

pub(super) fn read_records(
    body: &str,
    records: &XmlRecords,
    shape: &Shape,
    want_whole: bool,
    mut take: impl FnMut(Found<'_, '_>),
) -> Result<(), Unreadable> {
    let mut object = String::new();
    let mut ordinal = 0_u32;
    each_record(body, records, |element, _, _| {
        object.clear();
        element.write(&mut object);
        let mut slots = vec![None; shape.len()];
        if read_row(&object, shape, &mut slots) {
            take(Found::Record(Row { ordinal, slots: &slots, whole: want_whole.then_some(object.as_str()) }));
        } else {
            take(Found::Broken { ordinal, detail: "the record element holds no elements" });
        }
        ordinal = ordinal.saturating_add(1);
    })
}

pub(super) fn standalone(body: &str, records: &XmlRecords, wanted: &[u32]) -> Result<Vec<(u32, Vec<u8>)>, Unreadable> {
    let mut kept = Vec::new();
    let mut ordinal = 0_u32;
    each_record(body, records, |_, path, span| {
        if wanted.contains(&ordinal) {
            let parents = path.split_last().map(|(_, parents)| parents).unwrap_or_default();
            let mut document = String::new();
            for name in parents {
                let _ = write!(document, "<{name}>");
            }
            document.push_str(body.get(span).unwrap_or_default());
            for name in parents.iter().rev() {
                let _ = write!(document, "</{name}>");
            }
            kept.push((ordinal, document.into_bytes()));
        }
        ordinal = ordinal.saturating_add(1);
    })?;
    Ok(kept)
}

#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
    is_nil: bool,
}

/// Calls with each record element, the path that it matched and its place in the body.
fn each_record(
    body: &str,
    records: &XmlRecords,
    mut take: impl FnMut(&Element, &[String], std::ops::Range<usize>),
) -> Result<(), Unreadable> {
    let mut reader = Reader::from_str(body);
    reader.config_mut().expand_empty_elements = true;
    // Names above a record, and the elements of the record that is being read.
    let mut trail: Vec<String> = Vec::new();
    let mut open: Vec<Element> = Vec::new();
    let mut record_start = 0;
    let mut root: Option<String> = None;
    let mut records_seen = false;
    let mut others_seen = false;
    loop {
        let before = position(&reader);
        let event = reader.read_event().map_err(|error| {
            let at = usize::try_from(reader.error_position()).unwrap_or(body.len());
            // All of these but one say that something was opened and the text ends before it is closed.
            let what = match &error {
                quick_xml::Error::Syntax(SyntaxError::InvalidBangMarkup) => "not_xml",
                quick_xml::Error::Syntax(_) => "cut_off",
                _ => "not_xml",
            };
            Unreadable::at(what, body, at, error.to_string())
        })?;
        match event {
            Event::Start(start) => {
                if trail.len() + open.len() >= MAX_DEPTH {
                    return Err(Unreadable::at("too_deep", body, before, "more than 64 levels of elements"));
                }
                if open.is_empty() {
                    let name = local_name(&start);
                    if trail.is_empty() {
                        if root.is_some() {
                            return Err(Unreadable::at("not_xml", body, before, "a second root element"));
                        }
                        root = Some(name.clone());
                    }
                    trail.push(name);
                    if records.paths.contains(&trail) {
                        records_seen = true;
                        record_start = before;
                        open.push(element_of(&start, body, before)?);
                    } else if !records.paths.iter().any(|path| path.starts_with(&trail)) {
                        others_seen = true;
                    }
                } else {
                    open.push(element_of(&start, body, before)?);
                }
            }
            Event::End(_) => match open.pop() {
                None => {
                    trail.pop();
                }
                Some(element) => match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => {
                        take(&element, &trail, record_start..position(&reader));
                        trail.pop();
                    }
                },
            },
            Event::Text(text) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&text.xml10_content());
                }
            }
            Event::CData(text) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&text.xml10_content());
                }
            }
            Event::GeneralRef(reference) => {
                let character =
                    resolved(&reference).map_err(|detail| Unreadable::at("entity", body, before, detail))?;
                if let Some(element) = open.last_mut() {
                    element.text.push(character);
                }
            }
            Event::DocType(_) => {
                return Err(Unreadable::at("dtd", body, before, "a document type declaration is not accepted"));
            }
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::Empty(_) => {}
        }
    }
    if !trail.is_empty() {
        return Err(Unreadable::at("cut_off", body, body.len(), "the document ends inside an element"));
    }
    let fits = |root: &str| records.paths.iter().any(|path| path.first().is_some_and(|first| first == root));
    match root {
        None => Err(Unreadable::new("not_xml", "the document has no element")),
        // A document of other elements is not an empty page.
        Some(root) if fits(&root) && (records_seen || !others_seen) => Ok(()),
        Some(root) => {
            let places: Vec<String> = records.paths.iter().map(|path| path.join("/")).collect();
            let detail = format!("the root element is `{root}`, records are at {}", places.join(" or "));
            Err(Unreadable::new("no_records", detail))
        }
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

fn local_name(start: &BytesStart<'_>) -> String {
    start.local_name().into_inner().to_owned()
}

fn element_of(start: &BytesStart<'_>, body: &str, at: usize) -> Result<Element, Unreadable> {
    let mut element = Element { name: local_name(start), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| Unreadable::at("not_xml", body, at, error.to_string()))?;
        let name = attribute.key.as_ref();
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| Unreadable::at("entity", body, at, error.to_string()))?;
        if name == "xmlns" || name.starts_with("xmlns:") {
            continue;
        }
        if name.ends_with(":nil") {
            element.is_nil = matches!(value.as_ref(), "true" | "1");
            continue;
        }
        element.attributes.push((format!("@{name}"), value.into_owned()));
    }
    Ok(element)
}

/// The character that a reference stands for: one of the five, or one by its number.
pub(in crate::mapping) fn resolved(reference: &BytesRef<'_>) -> Result<char, String> {
    match reference.resolve_char_ref() {
        Ok(Some(character)) => Ok(character),
        Ok(None) => match reference.xml10_content().as_ref() {
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "amp" => Ok('&'),
            "apos" => Ok('\''),
            "quot" => Ok('"'),
            other => Err(format!("the entity `&{other};` is not accepted")),
        },
        Err(error) => Err(error.to_string()),
    }
}

impl Element {
    /// As JSON. The depth is bounded by the reader.
    fn write(&self, out: &mut String) {
        if self.is_nil {
            out.push_str("null");
            return;
        }
        if self.attributes.is_empty() && self.children.is_empty() {
            write_string(&self.text, out);
            return;
        }
        out.push('{');
        let mut comma = false;
        let mut separate = |out: &mut String| {
            if std::mem::replace(&mut comma, true) {
                out.push(',');
            }
        };
        if !self.text.trim().is_empty() {
            separate(out);
            out.push_str("\"#text\":");
            write_string(&self.text, out);
        }
        for (name, value) in &self.attributes {
            separate(out);
            write_string(name, out);
            out.push(':');
            write_string(value, out);
        }
        // Children of one name, in the order of their first.
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut groups: Vec<Vec<&Element>> = Vec::new();
        for child in &self.children {
            let place = *places.entry(&child.name).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.push(child),
                None => groups.push(vec![child]),
            }
        }
        for group in groups {
            separate(out);
            write_string(&group[0].name, out);
            out.push(':');
            if let [only] = group[..] {
                only.write(out);
            } else {
                for (place, child) in group.iter().enumerate() {
                    out.push(if place == 0 { '[' } else { ',' });
                    child.write(out);
                }
                out.push(']');
            }
        }
        out.push('}');
    }
}

/// A JSON string.
pub(in crate::mapping) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(body: &str) -> Result<Vec<String>, &'static str> {
        let records = XmlRecords { paths: vec![vec!["ITEMS".into(), "ITEM".into()]] };
        let mut objects = Vec::new();
        each_record(body, &records, |element, _, _| {
            let mut object = String::new();
            element.write(&mut object);
            objects.push(object);
        })
        .map_err(|unreadable| unreadable.what)?;
        Ok(objects)
    }

    #[test]
    fn records_become_objects() {
        let body = r#"<?xml version="1.0" encoding="ISO-8859-9"?>
            <l:ITEMS xmlns:l="urn:x"><!-- a --><l:ITEM DBOP="INS"><CODE>A&amp;&#305;<![CDATA[<b>]]></CODE><EMPTY/>
            <UNITS><UNIT><C>1</C></UNIT><UNIT><C>2</C></UNIT></UNITS><P cur="TRY">5</P>
            <N xsi:nil="true"/></l:ITEM></l:ITEMS>"#;
        assert_eq!(
            objects(body).unwrap(),
            [concat!(
                r##"{"@DBOP":"INS","CODE":"A&ı<b>","EMPTY":"","UNITS":{"UNIT":[{"C":"1"},{"C":"2"}]},"##,
                r##""P":{"#text":"5","@cur":"TRY"},"N":null}"##
            )]
        );
    }

    #[test]
    fn what_is_dangerous_or_broken_is_unreadable() {
        assert_eq!(objects("<ITEMS/>"), Ok(vec![]));
        assert_eq!(objects("<OTHER/>"), Err("no_records"));
        assert_eq!(objects("<ITEMS><ERROR>x</ERROR></ITEMS>"), Err("no_records"));
        assert_eq!(objects("<ITEMS><INFO>x</INFO><ITEM>1</ITEM></ITEMS>").unwrap().len(), 1);
        assert_eq!(objects("<ITEMS><ITEM><CODE>A</CODE>"), Err("cut_off"));
        assert_eq!(objects("<ITEMS><ITEM><CODE>A</CO"), Err("cut_off"));
        assert_eq!(objects("<ITEMS><ITEM></CODE></ITEM></ITEMS>"), Err("not_xml"));
        assert_eq!(objects("<!DOCTYPE x [<!ENTITY a \"b\">]><ITEMS/>"), Err("dtd"));
        assert_eq!(objects("<ITEMS><ITEM><CODE>&a;</CODE></ITEM></ITEMS>"), Err("entity"));
        assert_eq!(objects("<ITEMS><ITEM A=\"&a;\"/></ITEMS>"), Err("entity"));
        assert_eq!(objects("<ITEMS/><ITEMS/>"), Err("not_xml"));
        assert_eq!(objects(&format!("{}{}", "<ITEMS>".repeat(65), "</ITEMS>".repeat(65))), Err("too_deep"));
        assert_eq!(objects("just text"), Err("not_xml"));
    }

    #[test]
    fn one_record_stands_alone() {
        let records = XmlRecords { paths: vec![vec!["ITEMS".into(), "ITEM".into()]] };
        let body = "<ITEMS>\n<ITEM DBOP=\"UPD\"><CODE>A</CODE></ITEM>\n<ITEM><CODE>Ş</CODE></ITEM></ITEMS>";
        let kept = standalone(body, &records, &[0, 1]).unwrap();
        assert_eq!(kept[0].1, b"<ITEMS><ITEM DBOP=\"UPD\"><CODE>A</CODE></ITEM></ITEMS>");
        assert_eq!(kept[1].1, "<ITEMS><ITEM><CODE>Ş</CODE></ITEM></ITEMS>".as_bytes());
    }
}

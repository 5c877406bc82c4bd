//! The records of an XML file, one after the other. See the limits of [`crate::mapping::source`]: no document type, no
//! entities but the five, at most 64 levels; here a record's elements and attributes are counted as well.

use std::{
    fmt::Write,
    io::{BufRead, Read},
};

use quick_xml::{
    Reader, XmlVersion,
    errors::SyntaxError,
    events::{BytesStart, Event},
};

use super::{Piece, StreamError, text::Text};
use crate::mapping::source::{MAX_DEPTH, resolved};

const MAX_ATTRIBUTES: usize = 64;
const MAX_ELEMENTS: usize = 10_000;
const MAX_NAME: usize = 256;

/// The attribute by which a record of a LOGO exchange file says what is to be done with it.
const OPERATION: &str = "DBOP";

pub struct XmlStream<R> {
    reader: Reader<Text<R>>,
    buffer: Vec<u8>,
    paths: Vec<Vec<String>>,
    /// The elements above the next record.
    trail: Vec<String>,
    root: Option<String>,
    records_seen: bool,
    others_seen: bool,
}

/// A record that is being read.
struct Open {
    place: usize,
    operation: Option<String>,
    line: u64,
    depth: usize,
    elements: usize,
}

impl<R: Read> XmlStream<R> {
    pub(super) fn new(text: Text<R>, paths: Vec<Vec<String>>) -> XmlStream<R> {
        let mut reader = Reader::from_reader(text);
        reader.config_mut().expand_empty_elements = true;
        XmlStream {
            reader,
            buffer: Vec::new(),
            paths,
            trail: Vec::new(),
            root: None,
            records_seen: false,
            others_seen: false,
        }
    }

    pub(super) fn next_piece(&mut self) -> Result<Option<Piece>, StreamError> {
        let mut record: Option<Open> = None;
        loop {
            let before = self.reader.buffer_position();
            if record.is_none() {
                self.reader.get_mut().release(before);
            }
            self.buffer.clear();
            let event = match self.reader.read_event_into(&mut self.buffer) {
                Ok(event) => event,
                Err(error) => return Err(fault(&mut self.reader, &error)),
            };
            let text = self.reader.get_ref();
            let broken = |what, detail: String| Err(StreamError::Broken(text.broken(what, before, detail)));
            match event {
                Event::Start(start) => {
                    let depth = self.trail.len() + record.as_ref().map_or(0, |open| open.depth);
                    if depth >= MAX_DEPTH {
                        return broken("too_deep", format!("more than {MAX_DEPTH} levels of elements"));
                    }
                    let operation = match look_at(&start) {
                        Ok(operation) => operation,
                        Err((what, detail)) => return broken(what, detail),
                    };
                    if let Some(open) = &mut record {
                        open.depth += 1;
                        open.elements += 1;
                        if open.elements > MAX_ELEMENTS {
                            return broken("too_large", format!("a record of more than {MAX_ELEMENTS} elements"));
                        }
                        continue;
                    }
                    let name = start.local_name().into_inner();
                    if self.trail.is_empty() {
                        if self.root.is_some() {
                            return broken("not_xml", "a second root element".to_owned());
                        }
                        self.root = Some(name.to_owned());
                        if !self.paths.iter().any(|path| path.first().is_some_and(|first| first == name)) {
                            let places: Vec<String> = self.paths.iter().map(|path| path.join("/")).collect();
                            let places = places.join(" or ");
                            return broken(
                                "no_records",
                                format!("the root element is `{name}`, records are at {places}"),
                            );
                        }
                    }
                    self.trail.push(name.to_owned());
                    if let Some(place) = self.paths.iter().position(|path| *path == self.trail) {
                        self.records_seen = true;
                        let (line, _) = text.place();
                        record = Some(Open { place, operation, line, depth: 1, elements: 1 });
                        self.trail.pop();
                    } else if !self.paths.iter().any(|path| path.starts_with(&self.trail)) {
                        self.others_seen = true;
                    }
                }
                Event::End(_) => match &mut record {
                    None => {
                        self.trail.pop();
                    }
                    Some(open) if open.depth > 1 => open.depth -= 1,
                    Some(open) => {
                        let operation = open.operation.take();
                        let end = self.reader.buffer_position();
                        return Ok(Some(Piece { place: open.place, operation, line: open.line, end }));
                    }
                },
                Event::Text(content) if self.trail.is_empty() && record.is_none() => {
                    if !content.xml10_content().trim().is_empty() {
                        return broken("not_xml", "text stands outside the root element".to_owned());
                    }
                }
                Event::GeneralRef(reference) => {
                    if let Err(detail) = resolved(&reference) {
                        return broken("entity", detail);
                    }
                }
                Event::DocType(_) => {
                    return broken("dtd", "a document type declaration is not accepted".to_owned());
                }
                Event::Eof => return self.ended(before).map(|()| None),
                Event::Text(_)
                | Event::CData(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::Comment(_)
                | Event::Empty(_) => {}
            }
        }
    }

    fn ended(&self, at: u64) -> Result<(), StreamError> {
        let text = self.reader.get_ref();
        let broken = |what, detail| Err(StreamError::Broken(text.broken(what, at, detail)));
        if self.root.is_none() {
            return broken("not_xml", "the document has no element");
        }
        if !self.trail.is_empty() {
            return broken("cut_off", "the document ends inside an element");
        }
        if !self.records_seen && self.others_seen {
            return broken("no_records", "the document has elements, and none of them is a record");
        }
        Ok(())
    }

    pub(super) fn text(&self, piece: &Piece) -> &str {
        self.reader.get_ref().since_release(piece.end)
    }

    fn parents(&self, place: usize) -> &[String] {
        self.paths.get(place).and_then(|path| path.split_last()).map_or(&[], |(_, parents)| parents)
    }

    pub(super) fn open(&self, place: usize) -> String {
        self.parents(place).iter().fold(String::new(), |mut open, name| {
            let _ = write!(open, "<{name}>");
            open
        })
    }

    pub(super) fn close(&self, place: usize) -> String {
        self.parents(place).iter().rev().fold(String::new(), |mut close, name| {
            let _ = write!(close, "</{name}>");
            close
        })
    }
}

fn fault<R: Read>(reader: &mut Reader<Text<R>>, error: &quick_xml::Error) -> StreamError {
    if let Some(stopped) = reader.get_mut().stopped() {
        return stopped;
    }
    // All of these but one say that something was opened and the text ends before it is closed.
    let what = match error {
        quick_xml::Error::Syntax(SyntaxError::InvalidBangMarkup) => "not_xml",
        quick_xml::Error::Syntax(_) => "cut_off",
        _ => "not_xml",
    };
    StreamError::Broken(reader.get_ref().broken(what, reader.error_position(), error.to_string()))
}

/// Checks a tag; answers what it says is to be done with the record.
fn look_at(start: &BytesStart<'_>) -> Result<Option<String>, (&'static str, String)> {
    let name = start.name();
    let name = name.as_ref();
    if name.len() > MAX_NAME {
        return Err(("too_large", format!("a name of more than {MAX_NAME} bytes")));
    }
    if name.is_empty() {
        return Err(("not_xml", "an element without a name".to_owned()));
    }
    let mut operation = None;
    for (count, attribute) in start.attributes().enumerate() {
        if count >= MAX_ATTRIBUTES {
            return Err(("too_large", format!("more than {MAX_ATTRIBUTES} attributes")));
        }
        let attribute = attribute.map_err(|error| ("not_xml", error.to_string()))?;
        let value =
            attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| ("entity", error.to_string()))?;
        let key: &str = attribute.key.as_ref();
        if key.len() > MAX_NAME {
            return Err(("too_large", format!("a name of more than {MAX_NAME} bytes")));
        }
        if key == OPERATION {
            operation = Some(value.trim().to_owned());
        }
    }
    Ok(operation)
}

/// The name of the root element, without its name space.
pub fn root_of<R: Read>(text: Text<R>) -> Result<String, StreamError> {
    let mut reader = Reader::from_reader(text);
    let mut buffer = Vec::new();
    loop {
        let before = reader.buffer_position();
        reader.get_mut().release(before);
        buffer.clear();
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(error) => return Err(fault(&mut reader, &error)),
        };
        let broken = |what, detail| Err(StreamError::Broken(reader.get_ref().broken(what, before, detail)));
        match event {
            Event::Start(start) | Event::Empty(start) => return Ok(start.local_name().into_inner().to_owned()),
            Event::DocType(_) => return broken("dtd", "a document type declaration is not accepted"),
            Event::Text(text) if text.xml10_content().trim().is_empty() => {}
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) | Event::End(_) => {
                return broken("not_xml", "text stands before the first element");
            }
            Event::Eof => return broken("not_xml", "the document has no element"),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
}

impl<R: BufRead> std::fmt::Debug for XmlStream<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XmlStream").field("root", &self.root).finish_non_exhaustive()
    }
}

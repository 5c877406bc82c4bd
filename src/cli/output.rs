//! What commands print.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{failure::Failure, run::Global};

/// Prints to standard output. A reader that has gone (`| head`) ends the command quietly.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let line_break = if text.ends_with('\n') { "" } else { "\n" };
    match write!(stdout, "{text}{line_break}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Told(0)),
        Err(error) => Err(Failure::Failed(format!("cannot write to standard output: {error}"))),
    }
}

pub(super) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&text),
        Err(error) => Err(Failure::Failed(format!("cannot print as JSON: {error}"))),
    }
}

/// A page of a listing: `{items, nextCursor}` with `--json`, a table and where the next page begins without.
pub(super) struct Listed<'r, R> {
    rows: &'r [R],
    next: Value,
    /// Beside the items, with `--json`.
    more: Map<String, Value>,
    /// Said under the table.
    note: Option<String>,
}

impl<'r, R: Serialize> Listed<'r, R> {
    /// A page that is full has a next one, behind the `cursor` of its last row.
    pub(super) fn page<C: Serialize>(rows: &'r [R], limit: i64, cursor: impl Fn(&R) -> C) -> Listed<'r, R> {
        let full = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
        let next = rows.last().filter(|_| full).map_or(Value::Null, |row| json!(cursor(row)));
        Listed { rows, next, more: Map::new(), note: None }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Listed<'r, R> {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn noting(mut self, note: String) -> Listed<'r, R> {
        self.note = Some(note);
        self
    }

    /// `none`: what is said of an empty table.
    pub(super) fn print(
        self,
        global: &Global,
        none: &str,
        header: &[&str],
        cells: impl Fn(&R) -> Vec<String>,
    ) -> Result<(), Failure> {
        if global.json {
            let mut told = self.more;
            told.insert("items".to_owned(), json!(self.rows));
            told.insert("nextCursor".to_owned(), self.next);
            return print_json(&told);
        }
        if self.rows.is_empty() {
            return print(none);
        }
        print(&table(header, &self.rows.iter().map(cells).collect::<Vec<_>>()))?;
        if let Some(note) = self.note {
            eprintln!("{note}");
        }
        match self.next {
            Value::Null => {}
            Value::String(text) if text.contains('"') => eprintln!("more: --cursor '{text}'"),
            Value::String(text) => eprintln!("more: --cursor {text}"),
            other => eprintln!("more: --cursor {other}"),
        }
        Ok(())
    }
}

/// A time as tables show it.
pub(super) fn at(time: chrono::DateTime<chrono::Utc>) -> String {
    time.format("%F %T").to_string()
}

/// Control characters as their escapes.
fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let shown =
        |letter: char| if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Columns as wide as their widest cell; the last one is left as it is.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let columns = header.len();
    // A name that someone else has given must not break the table, nor speak to the terminal.
    let rows: Vec<Vec<Cow<'_, str>>> = rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (column, cell) in cells.take(columns).enumerate() {
            line.push_str(cell);
            if column + 1 < columns {
                line.extend(std::iter::repeat_n(' ', widths[column] + 2 - cell.chars().count()));
            }
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    };
    let mut text = line(&mut header.iter().copied());
    for row in &rows {
        text.push_str(&line(&mut row.iter().map(AsRef::as_ref)));
    }
    text
}

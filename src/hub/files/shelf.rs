//! Where finished files go: done/ or failed/, each with its report beside it.
//!
//! The name is made of the file's own, the time of its receipt and its content, so that putting the same file away
//! twice (after a crash) is putting it away once.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{FileFailure, FileRow, FilesError, Folder, store::KEPT_FAILURES};

/// The most bytes of a name to which an id, a time and the ending of a report can be added: a directory takes 255.
const LONGEST: usize = 190;

/// A name cut to what can be kept, in front of its ending.
pub(super) fn short(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if ending.len() <= 10 => (stem, format!(".{ending}")),
        _ => (name, String::new()),
    };
    let end = stem.floor_char_boundary(LONGEST - ending.len());
    format!("{}{ending}", &stem[..end])
}

/// The name under which a file is kept: `ITEMS.20261121-153012-417-9f86d081.xml`.
pub(super) fn kept_name(file: &FileRow) -> String {
    let id = file.id.simple().to_string();
    let content = file.sha256.as_deref().unwrap_or(&id[id.len() - 8..]);
    let mark = format!("{}-{}", file.received_at.format("%Y%m%d-%H%M%S-%3f"), &content[..content.len().min(8)]);
    match file.name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => format!("{stem}.{mark}.{ending}"),
        _ => format!("{}.{mark}", file.name),
    }
}

/// Writes the report, then moves the file. Both may have been done before.
pub(super) fn put_away(folder: &Folder, file: &FileRow, failures: &[FileFailure]) -> Result<String, FilesError> {
    let dir = if file.state == "done" { folder.done() } else { folder.failed() };
    let name = kept_name(file);
    write_report(&dir, &name, &report(file, &name, failures))?;
    let (from, to) = (folder.work().join(&file.work_name), dir.join(&name));
    match fs::rename(&from, &to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && to.is_file() => {}
        result => result.map_err(FilesError::disk("move the file to", &to))?,
    }
    sync(&dir);
    Ok(name)
}

/// Brings a file back into `work/`. `false`: it is not where it was put.
pub(super) fn take_back(folder: &Folder, file: &FileRow) -> Result<bool, FilesError> {
    let dir = if file.reason.is_none() { folder.done() } else { folder.failed() };
    let to = folder.work().join(&file.work_name);
    let Some(name) = &file.kept_name else { return Ok(to.is_file()) };
    let from = dir.join(name);
    match fs::rename(&from, &to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(to.is_file()),
        Err(error) => return Err(FilesError::disk("move back", from)(error)),
    }
    let report = dir.join(report_name(name));
    match fs::remove_file(&report) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        result => result.map(|()| true).map_err(FilesError::disk("remove", report)),
    }
}

fn report_name(name: &str) -> String {
    format!("{name}.report.json")
}

/// What a person reads who wants to know what became of a file.
fn report(file: &FileRow, name: &str, failures: &[FileFailure]) -> Value {
    let mut report = json!({
        "file": file,
        "keptAs": name,
        "failures": failures,
        "failuresLeftOut": (file.failed - KEPT_FAILURES).max(0),
    });
    // Columns of the row that are empty by then, or say what the report says.
    if let Some(row) = report["file"].as_object_mut() {
        for key in ["problem", "filedAt", "keptName"] {
            row.remove(key);
        }
    }
    report
}

fn write_report(dir: &Path, name: &str, report: &Value) -> Result<(), FilesError> {
    let place = dir.join(report_name(name));
    let part = dir.join(format!(".{name}.report.json.part"));
    let write = |part: &PathBuf| -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(report)?;
        text.push(b'\n');
        let mut file = File::create(part)?;
        file.write_all(&text)?;
        file.sync_all()
    };
    let written = write(&part).and_then(|()| fs::rename(&part, &place));
    if written.is_err() {
        // A full disk has no room for half a report; that it stays is no worse.
        let _ = fs::remove_file(&part);
    }
    written.map_err(FilesError::disk("write the report", place))
}

/// Makes moved names last; a file system that cannot do it moves them all the same.
fn sync(dir: &Path) {
    if let Ok(dir) = File::open(dir) {
        let _ = dir.sync_all();
    }
}

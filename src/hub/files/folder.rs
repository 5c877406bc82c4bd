//! A watched folder as it is configured.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::mapping::{Format, Library};

/// One folder, its files and where they go.
#[derive(Debug, Clone)]
pub struct Folder {
    pub name: String,
    pub dir: PathBuf,
    /// Whose records the files bring.
    pub instance: String,
    /// How long a file must lie unchanged before it is taken.
    pub settle: Duration,
    pub every: Duration,
    /// A larger file is refused.
    pub max_bytes: u64,
    /// The first whose pattern fits a file's name says what it is.
    pub takes: Vec<Take>,
    /// The mapping of an XML file by its root element, where the pattern names none.
    pub roots: BTreeMap<String, String>,
}

/// Files of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    /// `*` any characters, `?` one; capital and small letters are the same.
    pub pattern: String,
    /// `None`: as the root element says.
    pub mapping: Option<String>,
    /// `None`: by the name's ending.
    pub format: Option<Format>,
    /// `None`: as the file says, or UTF-8 where it is valid and windows-1254 else.
    pub encoding: Option<String>,
}

impl Take {
    /// What a file of this name is.
    pub fn format_of(&self, name: &str) -> Option<Format> {
        self.format.or_else(|| format_by_ending(name))
    }
}

/// `.xml`, `.csv` and `.txt` say what they are.
pub fn format_by_ending(name: &str) -> Option<Format> {
    let (_, ending) = name.rsplit_once('.')?;
    match ending.to_ascii_lowercase().as_str() {
        "xml" => Some(Format::Xml),
        "csv" | "txt" => Some(Format::Csv),
        _ => None,
    }
}

impl Folder {
    /// The lease under which the folder is watched.
    pub fn lease(&self) -> String {
        format!("files:{}", self.name)
    }

    pub fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    pub fn done(&self) -> PathBuf {
        self.dir.join("done")
    }

    pub fn failed(&self) -> PathBuf {
        self.dir.join("failed")
    }

    pub fn take_of(&self, name: &str) -> Option<&Take> {
        if is_unfinished(name) {
            return None;
        }
        self.takes.iter().find(|take| fits(&take.pattern, name) && take.format_of(name).is_some())
    }

    /// Every mapping that is named, with the format in which it is to read; `None`: whichever the file has.
    pub fn mappings(&self) -> impl Iterator<Item = (&str, Option<Format>)> {
        let named = self.takes.iter().filter_map(|take| {
            let format = take.format.or_else(|| format_by_ending(&take.pattern));
            Some((take.mapping.as_deref()?, format))
        });
        named.chain(self.roots.values().map(|mapping| (mapping.as_str(), Some(Format::Xml))))
    }

    /// What is wrong with the mappings that it names.
    pub fn wrong_mappings(&self, library: &Library) -> Vec<String> {
        let wrong = |(name, format): (&str, Option<Format>)| match (library.get(name), format) {
            (None, _) => Some(format!("the mapping `{name}` is not in the library")),
            (Some(mapping), Some(format)) if !mapping.formats().contains(&format) => {
                Some(format!("the mapping `{name}` reads no {format}: add `{format} = …` to its [records]"))
            }
            (Some(_), _) => None,
        };
        let mut wrong: Vec<String> = self.mappings().filter_map(wrong).collect();
        wrong.dedup();
        wrong
    }

    /// Makes the folders below it.
    pub fn prepare(&self) -> Result<(), super::FilesError> {
        for dir in [self.work(), self.done(), self.failed()] {
            // The folder itself is somebody else's: one that is not there is not mounted.
            match fs::create_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
                result => result.map_err(super::FilesError::disk("make", &dir))?,
            }
        }
        Ok(())
    }

    /// Whether the folder is there and every place below it may be written to; the answer says what to mend.
    pub fn check(&self) -> Result<(), String> {
        if !self.dir.is_dir() {
            return Err(format!("{} is not there: make it, or mount it", self.dir.display()));
        }
        self.prepare().map_err(|error| format!("{error}; give the folder to this user"))?;
        for dir in [self.dir.clone(), self.work(), self.done(), self.failed()] {
            let probe = dir.join(format!(".doctor-{}", std::process::id()));
            fs::write(&probe, b"")
                .and_then(|()| fs::remove_file(&probe))
                .map_err(|error| format!("cannot write to {}: {error}; give it to this user", dir.display()))?;
        }
        Ok(())
    }
}

/// A file that says itself that it is not finished, or is nobody's business.
fn is_unfinished(name: &str) -> bool {
    let ending = Path::new(name).extension().map(|ending| ending.to_string_lossy().to_lowercase());
    let ending = ending.as_deref();
    name.starts_with(['.', '~'])
        || matches!(ending, Some("tmp" | "part" | "partial" | "filepart" | "crdownload" | "swp"))
}

fn fits(pattern: &str, name: &str) -> bool {
    let letters = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    let (pattern, name) = (letters(pattern), letters(name));
    let (mut at, mut place) = (0, 0);
    // Where the last `*` stands, and how much of the name it takes.
    let mut star: Option<(usize, usize)> = None;
    while place < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[place] => {
                at += 1;
                place += 1;
            }
            _ => match &mut star {
                Some((of, taken)) => {
                    *taken += 1;
                    (at, place) = (*of + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whatever_the_letters_size() {
        for (pattern, name) in
            [("ITEMS*.xml", "items_20261121.XML"), ("*", "a"), ("?.csv", "ş.csv"), ("*a*b*", "xaxxb")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("ITEMS*.xml", "ITEM.xml"), ("?.csv", ".csv"), ("a", "ab"), ("*.xml", "x.xml.bak")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        // Many stars cost no more than the product of the lengths.
        assert!(!fits(&"*a".repeat(200), &"a".repeat(199)));
    }

    #[test]
    fn what_is_unfinished_is_left_alone() {
        for name in [".ITEMS.xml", "ITEMS.xml.tmp", "ITEMS.PART", "~ITEMS.xml", "ITEMS.xml.filepart"] {
            assert!(is_unfinished(name), "{name}");
        }
        assert!(!is_unfinished("ITEMS.xml"));
    }
}

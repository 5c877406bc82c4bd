//! Which files lie still. A file is taken when it was seen unchanged for long enough and nobody has it open for writing,
//! as far as one can see: on a network share the other machine's programs are seen only by the locks that they hold.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    ffi::{OsStr, OsString},
    fs::{self, File, TryLockError},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    time::{Duration, SystemTime},
};

use kopru_sdk::encoding::decode;
use tokio::time::Instant;

/// A file as a directory shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// As text: a Windows machine's share may give names of its own code page.
    pub name: String,
    /// As the directory has it.
    pub entry: OsString,
    pub size: u64,
    pub modified: Option<SystemTime>,
    device: u64,
    inode: u64,
}

/// The plain files of a directory, the oldest first.
pub fn list(dir: &Path) -> io::Result<Vec<Sight>> {
    let mut sights = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // One that has gone meanwhile is nothing to wait for.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            let modified = metadata.modified().ok();
            let (device, inode) = (metadata.dev(), metadata.ino());
            let entry = entry.file_name();
            sights.push(Sight { name: readable(&entry), entry, size: metadata.len(), modified, device, inode });
        }
    }
    sights.sort_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
    Ok(sights)
}

fn readable(entry: &OsStr) -> String {
    let text = decode(entry.as_bytes(), None).or_else(|_| decode(entry.as_bytes(), Some("windows-1254")));
    text.map_or_else(|_| entry.to_string_lossy().into_owned(), Cow::into_owned)
}

/// What was seen in the rounds before.
#[derive(Debug, Default)]
pub struct Sightings {
    seen: HashMap<OsString, (Sight, Instant)>,
}

impl Sightings {
    /// The files that have not changed for `settle`, and were seen at least once before.
    pub fn settled(&mut self, sights: Vec<Sight>, now: Instant, settle: Duration) -> Vec<Sight> {
        let mut before = std::mem::take(&mut self.seen);
        let mut settled = Vec::new();
        for sight in sights {
            let since = match before.remove(&sight.entry) {
                Some((same, since)) if same == sight => {
                    if now.saturating_duration_since(since) >= settle {
                        settled.push(sight.clone());
                    }
                    since
                }
                _ => now,
            };
            self.seen.insert(sight.entry.clone(), (sight, since));
        }
        settled
    }

    /// Somebody else watches the folder for now.
    pub fn forget(&mut self) {
        self.seen.clear();
    }
}

/// Those of the files that nobody seems to write to.
pub fn closed(dir: &Path, mut sights: Vec<Sight>) -> Vec<Sight> {
    sights.retain(|sight| !is_locked(&dir.join(&sight.entry)));
    if !sights.is_empty() {
        let open = open_for_writing();
        sights.retain(|sight| !open.contains(&(sight.device, sight.inode)));
    }
    sights
}

/// Whether a writer holds a lock on it, or refuses to share it.
fn is_locked(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
        // A share tells so that another machine has it open for itself alone; it is looked at again.
        Err(_) => true,
    }
}

/// The files that processes of this machine have open for writing, as far as this user may see them.
fn open_for_writing() -> HashSet<(u64, u64)> {
    let mut open = HashSet::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok()) {
        let handles = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        for handle in handles {
            let Ok(metadata) = fs::metadata(handle.path()) else { continue };
            let info = process.path().join("fdinfo").join(handle.file_name());
            if metadata.is_file() && fs::read_to_string(info).is_ok_and(|info| writes(&info)) {
                open.insert((metadata.dev(), metadata.ino()));
            }
        }
    }
    open
}

/// By the flags of a handle, in octal: the last two bits are 1 or 2 for a writer.
fn writes(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).is_some_and(|flags| flags & 3 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(name: &str, size: u64) -> Sight {
        Sight { name: name.to_owned(), entry: name.into(), size, modified: None, device: 1, inode: 1 }
    }

    #[tokio::test]
    async fn a_file_is_settled_when_it_has_not_changed_for_long_enough() {
        let settle = Duration::from_secs(5);
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut sightings = Sightings::default();
        let mut look = |secs, size| sightings.settled(vec![sight("a", size)], at(secs), settle).len();
        assert_eq!(look(0, 10), 0, "seen for the first time");
        assert_eq!(look(4, 10), 0, "not for long enough");
        assert_eq!(look(5, 11), 0, "it has grown");
        assert_eq!(look(9, 11), 0);
        assert_eq!(look(10, 11), 1);
        assert_eq!(sightings.settled(vec![], at(11), settle).len(), 0);
        assert_eq!(sightings.settled(vec![sight("a", 11)], at(30), settle).len(), 0, "gone and back is another file");
    }

    #[test]
    fn a_name_of_another_code_page_is_read_as_what_it_was_meant_to_be() {
        assert_eq!(readable(OsStr::from_bytes(b"STOK_\xDE\xDD.xml")), "STOK_\u{15e}\u{130}.xml");
        assert_eq!(readable(OsStr::new("STOK_\u{15e}.xml")), "STOK_\u{15e}.xml");
    }

    #[test]
    fn a_handle_for_writing_is_seen() {
        let dir = std::env::temp_dir().join(format!("kopru-sightings-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("a"), "1").unwrap();
        let still = |dir: &Path| closed(dir, list(dir).unwrap()).len();
        assert_eq!(still(&dir), 1);
        let reader = File::open(dir.join("a")).unwrap();
        assert_eq!(still(&dir), 1);
        let writer = fs::OpenOptions::new().append(true).open(dir.join("a")).unwrap();
        assert_eq!(still(&dir), 0);
        drop((reader, writer));
        let locked = File::open(dir.join("a")).unwrap();
        locked.lock().unwrap();
        assert_eq!(still(&dir), 0);
        drop(locked);
        assert_eq!(still(&dir), 1);
        fs::remove_dir_all(&dir).unwrap();
    }
}

//! `kopru mapping check` and `kopru mapping test`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::mapping::{CaseResult, Library, Problem, run_cases};
use serde_json::json;

/// [`check`] or [`test`].
pub(super) type Look = fn(Option<&Path>, &[PathBuf], bool, &mut dyn Write) -> io::Result<u8>;

/// A directory of mappings, and what of it was asked for.
struct Wanted {
    /// The configured one, if there is one; or one that was named.
    dir: Option<PathBuf>,
    /// Named: looked at by itself. Else with the built-in mappings, as it is in force.
    alone: bool,
    /// Names like `logo/items`, `logo`; none means all.
    names: Vec<String>,
}

/// All mappings are sound: 0; problems: 1. `dir` is the configured directory, `paths` are files or directories named on
/// the command line, which are looked at instead.
pub fn check(dir: Option<&Path>, paths: &[PathBuf], as_json: bool, out: &mut dyn Write) -> io::Result<u8> {
    let mut sound = Vec::new();
    let mut problems = Vec::new();
    for wanted in wanted(dir, paths) {
        let (library, found) = wanted.library();
        let named = library.iter().filter(|mapping| wanted.includes(mapping.name()));
        sound.extend(named.map(
            |mapping| json!({ "name": mapping.name(), "entity": mapping.entity().as_str(), "hash": mapping.hash() }),
        ));
        let named = library.outbounds().filter(|mapping| wanted.includes(mapping.name()));
        sound.extend(named.map(
            |mapping| json!({ "name": mapping.name(), "document": mapping.told().as_str(), "hash": mapping.hash() }),
        ));
        problems.extend(found.into_iter().filter(|problem| wanted.concerns(problem)));
        // A case file that cannot be understood is a problem as well.
        problems.extend(run_cases(&library, |name| wanted.includes(name)).err().unwrap_or_default());
    }
    if as_json {
        let problems: Vec<_> = problems.iter().map(problem_json).collect();
        writeln!(out, "{}", json!({ "ok": problems.is_empty(), "mappings": sound, "problems": problems }))?;
    } else {
        for problem in &problems {
            writeln!(out, "{problem}")?;
        }
        writeln!(out, "sound mappings: {}, problems: {}", sound.len(), problems.len())?;
    }
    Ok(u8::from(!problems.is_empty()))
}

/// Every case beside the mappings holds: 0; else 1.
pub fn test(dir: Option<&Path>, paths: &[PathBuf], as_json: bool, out: &mut dyn Write) -> io::Result<u8> {
    let mut results: Vec<CaseResult> = Vec::new();
    let mut problems: Vec<Problem> = Vec::new();
    for wanted in wanted(dir, paths) {
        let (library, found) = wanted.library();
        problems.extend(found.into_iter().filter(|problem| wanted.concerns(problem)));
        match run_cases(&library, |name| wanted.includes(name)) {
            Ok(all) => results.extend(all),
            Err(all) => problems.extend(all),
        }
    }
    let failed = results.iter().filter(|result| !result.misses.is_empty()).count();
    let ok = failed == 0 && problems.is_empty();
    if as_json {
        let cases: Vec<_> = results
            .iter()
            .map(|result| {
                json!({
                    "mapping": result.mapping, "name": result.name, "file": result.file, "line": result.line,
                    "ok": result.misses.is_empty(), "misses": result.misses,
                })
            })
            .collect();
        let problems: Vec<_> = problems.iter().map(problem_json).collect();
        writeln!(out, "{}", json!({ "ok": ok, "cases": cases, "problems": problems }))?;
        return Ok(u8::from(!ok));
    }
    for problem in &problems {
        writeln!(out, "{problem}")?;
    }
    for result in results.iter().filter(|result| !result.misses.is_empty()) {
        writeln!(out, "{}:{}: {}: {}", result.file, result.line, result.mapping, result.name)?;
        for miss in &result.misses {
            writeln!(out, "    {miss}")?;
        }
    }
    writeln!(out, "{} of {} cases hold", results.len() - failed, results.len())?;
    Ok(u8::from(!ok))
}

fn problem_json(problem: &Problem) -> serde_json::Value {
    json!({
        "file": problem.file, "line": problem.line, "column": problem.column, "what": problem.what,
        "remedy": problem.remedy,
    })
}

/// A file names itself, a directory with mapping files its system, another directory all systems in it.
fn wanted(dir: Option<&Path>, paths: &[PathBuf]) -> Vec<Wanted> {
    if paths.is_empty() {
        return vec![Wanted { dir: dir.map(Path::to_path_buf), alone: false, names: Vec::new() }];
    }
    let mut by_dir: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for path in paths {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let above = |path: &Path| match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        // `.` and `..` have no name of their own.
        let path = path.canonicalize().unwrap_or_else(|_| path.clone());
        let (root, wanted) = if path.is_dir() {
            if holds_mappings(&path) { (above(&path), Some(name(&path))) } else { (path, None) }
        } else {
            let system = above(&path);
            let file = name(&path);
            let subject = file.strip_suffix(".cases.toml").or_else(|| file.strip_suffix(".toml")).unwrap_or(&file);
            (above(&system), Some(format!("{}/{subject}", name(&system))))
        };
        let names = by_dir.entry(root).or_default();
        names.extend(wanted.or(Some(String::new())));
    }
    by_dir.into_iter().map(|(dir, names)| Wanted { dir: Some(dir), alone: true, names }).collect()
}

/// A file, or a directory with mapping files in it or in one below it.
pub fn is_place_of_mappings(path: &Path) -> bool {
    if path.is_file() || holds_mappings(path) {
        return true;
    }
    let Ok(entries) = std::fs::read_dir(path) else { return false };
    entries.flatten().any(|entry| holds_mappings(&entry.path()))
}

fn holds_mappings(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| entry.path().extension().is_some_and(|extension| extension == "toml"))
}

impl Wanted {
    fn library(&self) -> (Library, Vec<Problem>) {
        let dir = self.dir.as_deref();
        if self.alone { Library::inspect(dir) } else { Library::inspect_in_force(dir) }
    }

    fn includes(&self, mapping: &str) -> bool {
        self.names.is_empty()
            || self.names.iter().any(|name| {
                name.is_empty()
                    || name == mapping
                    || mapping.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('/'))
            })
    }

    /// Problems of the shared tables concern every mapping of the system.
    fn concerns(&self, problem: &Problem) -> bool {
        let path = Path::new(&problem.file);
        let Some(dir) = &self.dir else { return true };
        let below = path.strip_prefix(dir).unwrap_or(path).to_string_lossy().into_owned();
        let name = below.strip_suffix(".cases.toml").or_else(|| below.strip_suffix(".toml")).unwrap_or(&below);
        problem.line == 0 || name.ends_with("/tables") || self.includes(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: Look, paths: &[PathBuf]) -> (u8, String) {
        let mut out = Vec::new();
        let code = command(None, paths, false, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn the_mappings_of_the_program_are_sound_and_their_cases_hold() {
        let (code, told) = run(check, &[]);
        assert_eq!((code, told.as_str()), (0, "sound mappings: 27, problems: 0\n"));
        let (code, told) = run(test, &[]);
        assert_eq!(code, 0, "{told}");
    }

    #[test]
    fn a_path_narrows_what_is_looked_at() {
        let root = tempfile::tempdir().unwrap();
        let sound =
            "entity = \"brand\"\n[records]\njson = \"items\"\n[key]\nfrom = \"CODE\"\n[fields.name]\nfrom = \"N\"\n";
        let good = file(root.path(), "x/good.toml", sound);
        let bad = file(root.path(), "x/bad.toml", &sound.replace("brand", "brend"));
        file(
            root.path(),
            "x/good.cases.toml",
            "[[case]]\nname = \"n\"\ngiven = { CODE = \"A\" }\nexpect = { code = \"A\" }\n",
        );
        let (code, told) = run(check, std::slice::from_ref(&good));
        assert_eq!((code, told.as_str()), (0, "sound mappings: 1, problems: 0\n"));
        let (code, told) = run(check, std::slice::from_ref(&bad));
        assert_eq!(code, 1);
        assert!(told.contains("bad.toml:1:10: `brend` is no value of `entity`; did you mean `brand`?"), "{told}");
        let (code, _) = run(check, &[root.path().to_path_buf()]);
        assert_eq!(code, 1);
        std::fs::remove_file(bad).unwrap();
        let (code, told) = run(test, &[root.path().join("x")]);
        assert_eq!(code, 1);
        assert!(told.ends_with("0 of 1 cases hold\n"), "{told}");
        assert!(told.contains("name (missing_field)"), "{told}");
    }
}

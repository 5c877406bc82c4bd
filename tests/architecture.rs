//! The layout rules that can be read off the files: who may use whom, what stands where, and how it is called.
//!
//! A failure lists every finding at once. A new room, a new arrow or an exception is a line in the tables below, argued
//! in the commit that adds it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A room of `src/`, the rooms that it may name, and the crates that it must not name.
struct Room {
    name: &'static str,
    uses: &'static [&'static str],
    never: &'static [&'static str],
}

const WEB: &[&str] = &["axum", "tower_http", "reqwest"];
const PURE: &[&str] = &["axum", "tower_http", "reqwest", "sqlx", "kopru_sdk"];

const ROOMS: &[Room] = &[
    // Leaves: libraries only.
    Room { name: "audit", uses: &["transaction"], never: WEB },
    Room { name: "canonical", uses: &["money", "turkish"], never: PURE },
    Room { name: "clock", uses: &[], never: PURE },
    Room { name: "config", uses: &[], never: &["axum", "tower_http", "reqwest", "sqlx"] },
    // What it asks for is sent by the hub, which reads its rows.
    Room { name: "mail", uses: &["seal"], never: WEB },
    Room { name: "media", uses: &[], never: &["axum", "tower_http", "reqwest", "sqlx"] },
    Room { name: "money", uses: &[], never: PURE },
    // Who caused a change is who its audit row names.
    Room { name: "outbox", uses: &["audit"], never: WEB },
    Room { name: "page", uses: &[], never: PURE },
    Room { name: "principal", uses: &[], never: PURE },
    Room { name: "seal", uses: &[], never: PURE },
    Room { name: "telemetry", uses: &[], never: PURE },
    // How one is begun, for everybody who has a pool.
    Room { name: "transaction", uses: &[], never: WEB },
    Room { name: "turkish", uses: &[], never: PURE },
    // Which database, and what size of pool, is a section of the configuration; whose rows a transaction sees, a scope.
    Room { name: "database", uses: &["config", "principal", "transaction"], never: WEB },
    // Pure: an external document in, canonical changes out.
    Room { name: "mapping", uses: &["canonical", "money", "turkish"], never: PURE },
    // They do not know that there is a hub.
    Room {
        name: "commerce",
        uses: &["audit", "canonical", "clock", "money", "outbox", "page", "principal", "transaction", "turkish"],
        never: &["axum", "tower_http", "reqwest", "kopru_sdk"],
    },
    Room {
        name: "identity",
        uses: &["audit", "clock", "mail", "outbox", "page", "principal", "seal", "transaction", "turkish"],
        never: &["axum", "tower_http", "reqwest", "kopru_sdk"],
    },
    // Drives connectors, mappings and commands; knows no connector by name and no web server.
    Room {
        name: "hub",
        uses: &[
            "audit",
            "canonical",
            "clock",
            "commerce",
            "mail",
            "mapping",
            "money",
            "outbox",
            "page",
            "principal",
            "seal",
            "transaction",
            "turkish",
        ],
        never: &["axum", "tower_http", "reqwest", "kopru_bundle"],
    },
    // Thin: commands and queries of others.
    Room {
        name: "http",
        uses: &[
            "audit",
            "canonical",
            "clock",
            "commerce",
            // Transactions that see one company's rows.
            "database",
            "hub",
            "identity",
            "mail",
            "mapping",
            "media",
            "money",
            // Who acts, for the commands of commerce.
            "outbox",
            "page",
            "principal",
            "seal",
            "transaction",
        ],
        never: &["reqwest", "kopru_bundle"],
    },
    Room {
        name: "cli",
        uses: &[
            "app",
            "audit",
            "canonical",
            "clock",
            "commerce",
            "config",
            "daemon",
            "database",
            "demo",
            // The description of the API.
            "http",
            "hub",
            "identity",
            "mail",
            "mapping",
            "page",
            "principal",
            "seal",
            "telemetry",
            "transaction",
        ],
        never: &["axum", "tower_http"],
    },
    // Above the composition root: the program as `serve` runs it, and the demo's check of a run hub.
    Room {
        name: "daemon",
        uses: &[
            "app",
            "audit",
            "clock",
            "commerce",
            "config",
            "database",
            "http",
            "hub",
            "identity",
            "media",
            "telemetry",
        ],
        never: &["axum", "tower_http", "reqwest"],
    },
    Room {
        name: "demo",
        uses: &[
            "app",
            "audit",
            "clock",
            "commerce",
            "config",
            "hub",
            "identity",
            "outbox",
            "page",
            "principal",
            "seal",
            "transaction",
        ],
        never: &["axum", "tower_http"],
    },
    // The composition root sees every room that is not above it.
    Room {
        name: "app",
        uses: &[
            "audit",
            "canonical",
            "clock",
            "commerce",
            "config",
            "database",
            "http",
            "hub",
            "identity",
            "mail",
            "mapping",
            "outbox",
            "principal",
            "seal",
            "telemetry",
        ],
        never: &[],
    },
];

/// Rooms that hold no SQL, and the ways to write some.
const WITHOUT_SQL: &[&str] = &[
    "app",
    "canonical",
    "cli",
    "clock",
    "config",
    "daemon",
    "demo",
    "http",
    "mapping",
    "money",
    "page",
    "principal",
    "telemetry",
    "turkish",
];
const SQL_CALLS: &[&str] =
    &["query_as", "query_scalar", "query_file", "query_file_as", "query_file_scalar", "raw_sql", "QueryBuilder"];

const LONGEST_FILE: usize = 700;

const MIGRATION_VERBS: &[&str] = &[
    "add",
    "alter",
    "backfill",
    "change",
    "create",
    "drop",
    "fill",
    "grant",
    "index",
    "merge",
    "move",
    "partition",
    "remove",
    "rename",
    "replace",
    "revoke",
    "seed",
    "set",
    "split",
    "widen",
];

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let mut found = Vec::new();
    for file in rust_files("src") {
        let Some(name) = room_of(&file) else { continue };
        let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
            found.push(format!("{}: the room `{name}` is not in the table of tests/architecture.rs", shown(&file)));
            continue;
        };
        let code = code_of(&read(&file));
        for used in rooms_named(&code) {
            if used != name && !room.uses.contains(&used.as_str()) {
                found.push(format!("{}: `{name}` must not use `{used}`", shown(&file)));
            }
        }
        for other in room.never.iter().filter(|other| names_crate(&code, other)) {
            found.push(format!("{}: `{name}` must not use the crate `{other}`", shown(&file)));
        }
    }
    report(found);
}

#[test]
fn thin_and_pure_rooms_hold_no_sql() {
    let mut found = Vec::new();
    for file in rust_files("src") {
        if !room_of(&file).is_some_and(|room| WITHOUT_SQL.contains(&room.as_str())) {
            continue;
        }
        let code = code_of(&read(&file));
        let plain = code.contains("sqlx::query").then_some("query");
        for call in words(&code).filter(|word| SQL_CALLS.contains(word)).chain(plain) {
            found
                .push(format!("{}: SQL (`{call}`) belongs beside its subject, in the room that owns it", shown(&file)));
        }
    }
    report(found);
}

#[test]
fn the_hub_reads_no_commerce_table() {
    let mut found = Vec::new();
    for file in files_below("src/hub") {
        let text = read(&file).to_lowercase();
        let tokens: Vec<&str> = text.split_whitespace().collect();
        for pair in tokens.windows(2) {
            if ["from", "join", "into", "update", "only", "using"].contains(&pair[0].trim_matches(['"', '(']))
                && pair[1].trim_start_matches(['"', '(']).starts_with("commerce.")
            {
                found.push(format!("{}: `{} {}`: call a command of commerce instead", shown(&file), pair[0], pair[1]));
            }
        }
    }
    report(found);
}

#[test]
fn connectors_depend_on_the_sdk_and_on_nothing_else_of_ours() {
    let mut found = Vec::new();
    for (package, manifest) in manifests().into_iter().filter(|(path, _)| path.starts_with("connectors")) {
        let name = package.file_name().expect("a directory").to_string_lossy().into_owned();
        let tests_only = dependencies_of(&manifest, &["dev-dependencies"]);
        let shipped = dependencies_of(&manifest, &["dependencies", "build-dependencies"]);
        for dependency in shipped.union(&tests_only) {
            let ours = dependency == "kopru" || dependency.starts_with("kopru-");
            let refused = match name.as_str() {
                "sdk" => ours || dependency == "sqlx",
                "bundle" => dependency == "kopru" || dependency == "sqlx",
                _ => (ours && dependency != "kopru-sdk") || dependency == "sqlx",
            };
            if refused {
                found.push(format!("connectors/{name}: must not depend on `{dependency}`"));
            }
        }
        // Tests may call the sandbox as a stranger does; the connector itself has the SDK's client.
        if name != "sdk" && shipped.contains("reqwest") {
            found.push(format!("connectors/{name}: calls out through the SDK, not with a client of its own"));
        }
        if name == "sdk" || name == "bundle" {
            continue;
        }
        for file in rust_files(&format!("connectors/{name}/src")) {
            let serves = file.iter().any(|part| part.to_string_lossy().starts_with("sandbox"));
            if !serves && names_crate(&code_of(&read(&file)), "axum") {
                found.push(format!("{}: only a connector's sandbox is a web server", shown(&file)));
            }
        }
    }
    report(found);
}

#[test]
fn every_dependency_has_its_reason() {
    let text = read(&root().join("docs/dependencies.md"));
    let reasons: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("- `"))
        .filter_map(|line| line.split_once("`: "))
        .filter(|(_, reason)| !reason.trim().is_empty())
        .map(|(name, _)| name.to_owned())
        .collect();
    let mut used = BTreeSet::new();
    for (_, manifest) in manifests() {
        used.extend(dependencies_of(&manifest, &["dependencies", "dev-dependencies", "build-dependencies"]));
        let shared = manifest.get("workspace").and_then(|workspace| workspace.get("dependencies"));
        used.extend(shared.and_then(toml::Value::as_table).into_iter().flat_map(|table| table.keys().cloned()));
    }
    used.retain(|name| !name.starts_with("kopru-"));
    let mut found: Vec<String> =
        used.difference(&reasons).map(|name| format!("docs/dependencies.md: no line says why `{name}`")).collect();
    found.extend(reasons.difference(&used).map(|name| format!("docs/dependencies.md: `{name}` is not used any more")));
    report(found);
}

#[test]
fn no_file_is_too_long() {
    let mut files = files_below("src");
    files.extend(files_below("connectors"));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let found = files.iter().filter_map(|file| {
        let lines = read(file).lines().count();
        (lines > LONGEST_FILE)
            .then(|| format!("{}: {lines} lines, more than {LONGEST_FILE}: split by noun", shown(file)))
    });
    report(found.collect());
}

#[test]
fn migrations_are_named_by_time_verb_and_noun() {
    let mut found = Vec::new();
    let mut times = BTreeMap::new();
    for file in files_below("migrations") {
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        let parts = name.strip_suffix(".sql").and_then(|stem| stem.split_once('_'));
        let good = parts.is_some_and(|(time, rest)| {
            let plain = rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            let verb =
                rest.split_once('_').is_some_and(|(verb, noun)| MIGRATION_VERBS.contains(&verb) && !noun.is_empty());
            time.len() == 14 && time.bytes().all(|byte| byte.is_ascii_digit()) && plain && verb
        });
        if !good {
            found.push(format!("migrations/{name}: call it <14 digits of time>_<verb>_<noun>.sql"));
        } else if let Some(other) = times.insert(name[..14].to_owned(), name.clone()) {
            found.push(format!("migrations/{name}: has the time of {other}"));
        }
    }
    report(found);
}

#[test]
fn nothing_committed_names_a_place_on_somebodys_machine() {
    // In two halves, so that this file does not find itself.
    let places: Vec<String> = [("/ho", "me/"), ("/Us", "ers/"), ("/ro", "ot/"), ("/wo", "rk/"), ("/tm", "p/wt")]
        .map(|(one, two)| format!("{one}{two}"))
        .into();
    let mut found = Vec::new();
    for file in committed() {
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for place in &places {
                // Where a path begins; `/var/home/` and `example.com/home/` are other places.
                let starts = line.match_indices(place.as_str()).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    before.is_none_or(|before| !before.is_alphanumeric() && !"._-}$~*".contains(before))
                });
                if starts {
                    found.push(format!("{}:{}: names {place}", file.display(), number + 1));
                }
            }
        }
    }
    report(found);
}

fn report(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Every file below a directory of the workspace; none when there is no such directory (yet).
fn files_below(dir: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![root().join(dir)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.expect("a readable directory").path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn rust_files(dir: &str) -> Vec<PathBuf> {
    let mut files = files_below(dir);
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files
}

/// `src/hub/pages/plan.rs` and `src/hub.rs` are in the room `hub`; `lib.rs` and `main.rs` in none.
fn room_of(file: &Path) -> Option<String> {
    let inside = file.strip_prefix(root().join("src")).ok()?;
    let room = inside.iter().next()?.to_string_lossy().trim_end_matches(".rs").to_owned();
    (room != "lib" && room != "main").then_some(room)
}

/// What git knows; without git, every file that is not built or produced.
fn committed() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    if let Ok(listed) = listed
        && listed.status.success()
    {
        let names = String::from_utf8_lossy(&listed.stdout).into_owned();
        return names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    }
    let produced = ["target", "data", ".git", ".env"];
    let top = fs::read_dir(root()).expect("the workspace").map(|entry| entry.expect("readable").path());
    top.filter(|path| !path.file_name().is_some_and(|name| produced.contains(&name.to_string_lossy().as_ref())))
        .flat_map(|path| if path.is_dir() { files_below(&shown(&path)) } else { vec![path] })
        .map(|path| path.strip_prefix(root()).expect("inside").to_owned())
        .collect()
}

/// Each package's directory, relative to the workspace, and its manifest.
fn manifests() -> Vec<(PathBuf, toml::Table)> {
    let mut dirs = vec![PathBuf::new()];
    for entry in fs::read_dir(root().join("connectors")).expect("connectors/") {
        dirs.push(Path::new("connectors").join(entry.expect("readable").file_name()));
    }
    let parse = |dir: PathBuf| {
        let manifest = read(&root().join(&dir).join("Cargo.toml")).parse().expect("a manifest is TOML");
        (dir, manifest)
    };
    dirs.into_iter().map(parse).collect()
}

/// The names of the direct dependencies of these kinds, for every target.
fn dependencies_of(manifest: &toml::Table, kinds: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = targets.into_iter().flat_map(|targets| targets.values().filter_map(toml::Value::as_table));
    for table in tables.chain([manifest]) {
        for kind in kinds {
            let dependencies = table.get(*kind).and_then(toml::Value::as_table);
            names.extend(dependencies.into_iter().flat_map(|dependencies| dependencies.keys().cloned()));
        }
    }
    names
}

/// The text without comments and without what stands in string literals.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") {
            3
        } else if rest.starts_with("'\\\"'") {
            4
        } else if first == '"' {
            string_length(rest)
        } else if (rest.starts_with("r\"") || rest.starts_with("r#")) && !code.ends_with(is_word) {
            raw_string_length(rest)
        } else {
            0
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// 0 for a raw identifier such as `r#type`.
fn raw_string_length(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    if text.as_bytes().get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = 2 + hashes;
    text[begin..].find(&end).map_or(text.len(), |at| begin + at + end.len())
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|character| !is_word(character)).filter(|word| !word.is_empty())
}

/// What follows every `crate::`, also inside `use crate::{…}`.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|before| is_word(before) || before == '$') {
            continue;
        }
        let rest = code[at + path.len()..].trim_start();
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(group_heads(group)),
            None => rooms.extend(words(rest).next().map(str::to_owned)),
        }
    }
    rooms
}

/// The first name of each member of a `use` group whose opening brace was read.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut member, mut heads) = (0, String::new(), Vec::new());
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.extend(words(&std::mem::take(&mut member)).next().map(str::to_owned)),
            _ if depth == 0 => member.push(character),
            _ => {}
        }
    }
    heads.extend(words(&member).next().map(str::to_owned));
    heads
}

/// `name::…` at the beginning of a path.
fn names_crate(code: &str, name: &str) -> bool {
    let path = format!("{name}::");
    code.match_indices(&path).any(|(at, _)| {
        let before = &code[..at];
        !before.ends_with(is_word) && (!before.ends_with("::") || before.ends_with(" ::"))
    })
}

#[test]
fn the_reader_of_rust_sees_paths_and_not_texts() {
    let code = code_of(
        r##"
        // use crate::comment;
        use crate::{hub::{links, mapping as inner}, clock::Clock, money};
        fn f() { let s = "crate::text"; let q = '"'; crate::config::load(r#"crate::raw"#) /* crate::block */ }
        macro_rules! m { () => { $crate::macros::inside } }
        "##,
    );
    let rooms: Vec<String> = rooms_named(&code).into_iter().collect();
    assert_eq!(rooms, ["clock", "config", "hub", "money"]);
    assert!(names_crate("use axum::Router;", "axum") && names_crate("fn f() -> axum::Router", "axum"));
    assert!(!names_crate("use tower::axum::x; my_axum::y", "axum"));
}

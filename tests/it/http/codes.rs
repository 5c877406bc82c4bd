//! The table of the codes of problems: nothing is missing in it, and what it says is told.

use std::{collections::BTreeSet, fs, path::PathBuf};

use kopru::http::{codes, document};
use serde_json::Value;

fn operations(document: &Value) -> Vec<&Value> {
    let paths = document["paths"].as_object().expect("paths").values();
    paths.flat_map(|item| item.as_object().expect("operations").values()).collect()
}

#[test]
fn every_code_is_given_by_somebody_who_is_there() {
    let document = serde_json::to_value(document()).expect("JSON");
    let operations = operations(&document);
    let ids: Vec<&str> = operations.iter().filter_map(|operation| operation["operationId"].as_str()).collect();
    let known: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(known.len(), ids.len(), "two operations have one id");
    let listed: BTreeSet<&str> = operations
        .iter()
        .flat_map(|operation| operation["x-error-codes"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    for code in codes() {
        let lost: Vec<&&str> = code.operations().iter().filter(|id| !known.contains(**id)).collect();
        assert!(lost.is_empty(), "{}: {lost:?}", code.code);
        assert_eq!(listed.contains(code.code), code.is_given(), "{}", code.code);
    }
}

#[test]
fn the_documents_list_every_code_and_no_other() {
    let mut table = vec!["| status | `code` | what it means |".to_owned(), "| --- | --- | --- |".to_owned()];
    table.extend(codes().iter().map(|code| format!("| {} | `{}` | {} |", code.status, code.code, code.means)));
    let listed = include_str!("../../../docs/problem-codes.md").lines().filter(|line| line.starts_with('|'));
    assert_eq!(listed.collect::<Vec<_>>(), table);
    let known: BTreeSet<&str> = codes().iter().map(|code| code.code).collect();
    assert_eq!(known.len(), codes().len(), "a code stands there twice");
}

#[test]
fn every_code_that_the_program_gives_is_in_the_table() {
    let known: BTreeSet<&str> = codes().iter().map(|code| code.code).collect();
    let mut found = BTreeSet::new();
    let mut open = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http"))];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.extend(codes_in(&fs::read_to_string(path).expect("text")));
            }
        }
    }
    assert!(found.len() > 30, "the search finds too little: {found:?}");
    let missing: Vec<&String> = found.iter().filter(|code| !known.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What stands as a literal where a problem takes its code: behind a status, or first in one of the helpers.
fn codes_in(text: &str) -> Vec<String> {
    const HELPERS: [&str; 3] = ["unauthorized(", "conflict(", "state_problem("];
    let parts: Vec<&str> = text.split('"').collect();
    let is_code = |at: &usize| {
        let plain = !parts[*at].is_empty() && parts[*at].bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let before = parts[*at - 1].trim_end();
        let call = before.trim_end_matches(|letter: char| letter.is_ascii_uppercase() || "_, ".contains(letter));
        let behind_a_status = call.ends_with("StatusCode::") && before.ends_with(',');
        plain && (HELPERS.iter().any(|name| before.ends_with(name)) || behind_a_status)
    };
    (1..parts.len()).step_by(2).filter(is_code).map(|at| parts[at].to_owned()).collect()
}

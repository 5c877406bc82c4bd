use super::run_cases;
use crate::mapping::Library;

fn library() -> Library {
    Library::load(None).unwrap_or_else(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", told.join("\n"))
    })
}

#[test]
fn every_case_beside_the_mappings_holds() {
    let results = run_cases(&library(), |_| true).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert!(results.len() > 30);
    let failed: Vec<_> = results.iter().filter(|result| !result.misses.is_empty()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_mapping_has_cases() {
    let results = run_cases(&library(), |_| true).unwrap();
    for mapping in library().iter() {
        assert!(results.iter().any(|result| result.mapping == mapping.name()), "{}", mapping.name());
    }
    for mapping in library().outbounds() {
        assert!(results.iter().any(|result| result.mapping == mapping.name()), "{}", mapping.name());
    }
}

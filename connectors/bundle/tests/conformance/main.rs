//! What every connector must do, run over the whole list against the connectors' own sandboxes.
//!
//! A new connector is in the list of `kopru-bundle`, has a profile here and its fixtures under tests/fixtures/, and
//! passes all of this from its first commit.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod bench;
mod profile;

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use kopru_sdk::{Fault, Pass, Recorded, Settings};
use serde_json::{Value, json};

use crate::{
    bench::{Bench, cx, pull},
    profile::{PROFILES, Profile},
};

/// Every way in of every connector.
fn ways() -> impl Iterator<Item = (&'static Profile, &'static str, Value)> {
    PROFILES.iter().flat_map(|profile| profile.ways.iter().map(move |way| (profile, way.name, (way.settings)())))
}

#[test]
fn every_connector_has_a_profile() {
    let listed: Vec<&str> = kopru_bundle::all().iter().map(|descriptor| descriptor.kind).collect();
    let profiled: Vec<&str> = PROFILES.iter().map(|profile| profile.kind).collect();
    assert_eq!(listed, profiled);
}

/// The configuration is judged by the descriptor's list, also where the settings are too wrong to build an instance.
#[tokio::test]
async fn every_stream_that_is_offered_is_named_in_the_descriptor() {
    for (profile, way, settings) in ways() {
        let bench = Bench::start(profile).await;
        let connector = bench.connector(&[settings]);
        for stream in connector.source().map(|source| source.streams()).unwrap_or_default() {
            assert!(bench.descriptor.streams.contains(&stream.name), "{} by {way}: {}", profile.kind, stream.name);
        }
    }
}

#[tokio::test]
async fn unknown_settings_are_named_with_the_nearest() {
    for profile in PROFILES {
        let bench = Bench::start(profile).await;
        let settings = bench.settings(&[]);
        for key in settings.values.as_object().unwrap().keys() {
            let mut wrong = settings.clone();
            wrong.values[format!("{key}x")] = json!("whatever");
            let Err(bad) = (bench.descriptor.build)(&wrong) else { panic!("`{key}x` was taken") };
            assert!(bad.to_string().contains(&format!("did you mean `{key}`?")), "{}: {bad}", profile.kind);
        }
    }
}

#[tokio::test]
async fn all_wrong_settings_are_told_at_once_and_without_their_values() {
    for profile in PROFILES {
        let bench = Bench::start(profile).await;
        let mut settings = bench.settings(&[]);
        let wrong = settings.values.as_object_mut().unwrap();
        let count = wrong.len();
        wrong.values_mut().for_each(|value| *value = json!({"s3cret": true}));
        let Err(bad) = (bench.descriptor.build)(&settings) else { panic!("tables were taken for texts") };
        assert!(bad.0.len() >= count, "{}: {bad}", profile.kind);
        assert!(!bad.to_string().contains("s3cret"), "{bad}");
    }
}

#[tokio::test]
async fn the_check_is_good_with_the_right_credentials_only() {
    for (profile, way, settings) in ways() {
        let bench = Bench::start(profile).await;
        let connector = bench.connector(std::slice::from_ref(&settings));
        connector.check(&cx()).await.unwrap_or_else(|fault| panic!("{} by {way}: {fault}", profile.kind));
        connector.close(&cx()).await;

        let wrong = (profile.wrong_credentials)();
        let connector = bench.connector(&[settings, wrong.clone()]);
        let fault = connector.check(&cx()).await.unwrap_err();
        assert_eq!(fault.class(), "unauthenticated", "{} by {way}: {fault}", profile.kind);
        for secret in wrong.as_object().unwrap().values() {
            assert!(!format!("{fault:?}").contains(secret.as_str().unwrap()), "the fault tells a secret: {fault:?}");
        }
    }
}

#[tokio::test]
async fn the_wait_that_a_system_asks_for_is_passed_on() {
    for (profile, way, settings) in ways() {
        let bench = Bench::start(profile).await;
        let connector = bench.connector(&[settings]);
        connector.check(&cx()).await.unwrap();
        bench.fault("status", Some(json!({"code": 429, "retryAfter": 17}))).await;
        for stream in connector.source().unwrap().streams() {
            match pull(&*connector, stream.name, Pass::Full, None, true).await {
                Err(Fault::RateLimited { wait, .. }) => assert_eq!(wait, Some(Duration::from_secs(17))),
                other => panic!("{} by {way}, {}: {other:?}", profile.kind, stream.name),
            }
        }
    }
}

/// Every fault on the first call of a connector, and on one that is signed in: it is told as transient, nothing is
/// taken for success, and when it is over the same call succeeds.
#[tokio::test]
async fn what_passes_by_itself_is_transient_and_never_success() {
    let faults = [
        ("cut_before", None),
        ("cut_after", None),
        ("truncate", None),
        ("garbage", None),
        ("html", None),
        ("status", Some(json!(500))),
        ("status", Some(json!(502))),
        ("status", Some(json!(503))),
    ];
    for (profile, way, settings) in ways() {
        let bench = Bench::start(profile).await;
        for (name, value) in &faults {
            let connector = bench.connector(std::slice::from_ref(&settings));
            for signed_in in [false, true] {
                for stream in connector.source().unwrap().streams() {
                    let place = format!("{} by {way}, {}, {name}, signed in: {signed_in}", profile.kind, stream.name);
                    bench.fault(name, value.clone()).await;
                    match pull(&*connector, stream.name, Pass::Full, None, true).await {
                        Err(fault) => assert_eq!(fault.class(), "transient", "{place}: {fault}"),
                        Ok(page) => panic!("{place}: taken for {} rows", page.rows),
                    }
                }
                bench.faults(json!([])).await;
                for stream in connector.source().unwrap().streams() {
                    let page = pull(&*connector, stream.name, Pass::Full, None, true).await.unwrap();
                    assert!(page.rows > 0, "{}", stream.name);
                }
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_is_transient() {
    for (profile, way, settings) in ways() {
        let bench = Bench::start(profile).await;
        let connector = bench.connector(&[settings, (profile.impatient)()]);
        connector.check(&cx()).await.unwrap();
        bench.fault("hang", None).await;
        let fault = connector.check(&cx()).await.unwrap_err();
        assert_eq!(fault.class(), "transient", "{} by {way}: {fault}", profile.kind);
        let stream = connector.source().unwrap().streams()[0].name;
        let fault = pull(&*connector, stream, Pass::Full, None, true).await.unwrap_err();
        assert_eq!(fault.class(), "transient", "{} by {way}: {fault}", profile.kind);
    }
}

#[tokio::test]
async fn letters_in_the_wrong_code_page_never_become_other_letters() {
    for (profile, way, settings) in ways() {
        let bench = Bench::start(profile).await;
        let connector = bench.connector(&[settings]);
        for stream in connector.source().unwrap().streams() {
            bench.faults(json!([])).await;
            let right = pull(&*connector, stream.name, Pass::Full, None, true).await.unwrap();
            bench.fault("wrong_charset", None).await;
            match pull(&*connector, stream.name, Pass::Full, None, true).await {
                Err(fault) => assert_eq!(fault.class(), "transient", "{} by {way}: {fault}", profile.kind),
                Ok(page) => assert_eq!(page.body, right.body, "{} by {way}, {}", profile.kind, stream.name),
            }
        }
    }
}

#[tokio::test]
async fn sessions_that_end_in_mid_run_are_renewed_and_credentials_that_end_are_told() {
    for (profile, way, settings) in ways() {
        let bench = Bench::start(profile).await;
        let connector = bench.connector(&[settings]);
        connector.check(&cx()).await.unwrap();
        for stream in connector.source().unwrap().streams() {
            bench.faults(json!([{"match": {"system": profile.kind}, "do": "expire_token", "times": 1}])).await;
            let page = pull(&*connector, stream.name, Pass::Full, None, true).await;
            let page = page.unwrap_or_else(|fault| panic!("{} by {way}, {}: {fault}", profile.kind, stream.name));
            assert!(page.rows > 0, "{}", stream.name);
        }
        bench.fault("status", Some(json!(401))).await;
        let stream = connector.source().unwrap().streams()[0].name;
        let fault = pull(&*connector, stream, Pass::Full, None, true).await.unwrap_err();
        assert_eq!(fault.class(), "unauthenticated", "{} by {way}: {fault}", profile.kind);
    }
}

#[tokio::test]
async fn full_passes_end_and_lose_nothing_that_is_added_meanwhile() {
    for (profile, way, settings) in ways() {
        let bench = Bench::start(profile).await;
        let connector = bench.connector(&[settings]);
        for stream in connector.source().unwrap().streams() {
            let place = format!("{} by {way}, {}", profile.kind, stream.name);
            let (before, _) = bench.pass(&*connector, stream.name, None, async |_| ()).await;
            assert!(!before.is_empty(), "{place}: the sandbox has none");
            let (mut found, end) = bench
                .pass(&*connector, stream.name, None, async |page| {
                    if page <= 3
                        && let Some(add) = (profile.add)(stream.name, page)
                    {
                        bench.change(&add).await;
                    }
                })
                .await;
            assert!(before.keys().all(|key| found.contains_key(key)), "{place}: a row was lost");
            if stream.incremental {
                let (more, _) = bench.pass(&*connector, stream.name, Some(&end), async |_| ()).await;
                found.extend(more);
            }
            let (after, _) = bench.pass(&*connector, stream.name, None, async |_| ()).await;
            let added = (profile.add)(stream.name, 0).is_some();
            assert!(!added || after.len() > before.len(), "{place}: nothing was added");
            let lost: Vec<&String> = after.keys().filter(|key| !found.contains_key(*key)).collect();
            assert!(lost.is_empty(), "{place}: lost {lost:?}");
        }
    }
}

#[tokio::test]
async fn incremental_passes_bring_exactly_what_changed() {
    for (profile, way, settings) in ways() {
        let offered =
            Bench::start(profile).await.connector(std::slice::from_ref(&settings)).source().unwrap().streams();
        for stream in offered {
            if !stream.incremental {
                continue;
            }
            // One for each: a change may be told by several streams, and within the overlap it comes again.
            let bench = Bench::start(profile).await;
            let connector = bench.connector(std::slice::from_ref(&settings));
            let place = format!("{} by {way}, {}", profile.kind, stream.name);
            let (all, end) = bench.pass(&*connector, stream.name, None, async |_| ()).await;
            let (none, end) = bench.pass(&*connector, stream.name, Some(&end), async |_| ()).await;
            assert!(none.is_empty(), "{place}: {} records came though nothing had changed", none.len());

            let key = |record: &Value| (profile.changed_key)(stream.name, record);
            let chosen: Vec<Value> = all.values().step_by(all.len() / 5).cloned().collect();
            let change = (profile.change)(stream.name, &chosen).unwrap_or_else(|| panic!("{place}: has no change"));
            bench.change(&change).await;
            let (changed, end) = bench.pass(&*connector, stream.name, Some(&end), async |_| ()).await;
            let expected: BTreeSet<String> = chosen.iter().map(key).collect();
            let found: BTreeSet<String> = changed.values().map(key).collect();
            assert_eq!(found, expected, "{place}");
            let different = changed.iter().filter(|(key, record)| all.get(*key) != Some(*record));
            assert_eq!(different.count(), chosen.len(), "{place}: the changed records look as before");

            // Within the overlap they may come again; nothing else may.
            let (again, _) = bench.pass(&*connector, stream.name, Some(&end), async |_| ()).await;
            assert!(again.values().map(key).all(|key| expected.contains(&key)), "{place}");
        }
    }
}

/// `<case>.request.json` and `<case>.response.json`, of every operation at least what goes well, what the system
/// refuses and what nobody can read.
#[tokio::test]
async fn every_operation_has_its_fixtures() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    for profile in PROFILES {
        let bench = Bench::start(profile).await;
        let dir = root.join(profile.kind);
        let operations: BTreeSet<String> = fs::read_dir(&dir)
            .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        for stream in bench.connector(&[]).source().unwrap().streams() {
            assert!(operations.contains(stream.name), "no fixtures for the stream {}", stream.name);
        }
        // Without settings of its own, as `kopru connector read KIND` builds it.
        let values = (bench.descriptor.offline)();
        let settings = Settings { instance: profile.kind.to_owned(), values, dir: PathBuf::from("unused") };
        let connector = (bench.descriptor.build)(&settings).unwrap();
        let known: BTreeSet<String> = connector.operations().iter().map(|one| one.name.to_owned()).collect();
        assert_eq!(known, operations, "what has fixtures can be read");
        for operation in operations {
            for case in ["ok", "refused", "garbled"] {
                for half in ["request", "response"] {
                    let path = dir.join(&operation).join(format!("{case}.{half}.json"));
                    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                    let value = serde_json::from_slice::<Value>(&text)
                        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                    if half == "response" {
                        let read = connector.read(&cx(), &recorded(&operation, &value));
                        assert_eq!(read.is_ok(), case == "ok", "{}: {read:?}", path.display());
                    }
                }
            }
        }
    }
}

fn recorded(operation: &str, response: &Value) -> Recorded {
    let body = response["text"].as_str().map_or_else(|| response["body"].to_string(), str::to_owned);
    Recorded {
        operation: operation.to_owned(),
        status: response["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap(),
        content_type: response["contentType"].as_str().map(str::to_owned),
        body: body.into(),
    }
}

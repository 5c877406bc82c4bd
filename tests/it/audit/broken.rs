//! What somebody did to the books, and where it shows.

use kopru::audit::{
    sealer,
    verify::{self, Noted, What},
};

use super::{installation, sealed, shown, tamper, verdict, write};

/// What was done, where it shows, as what, and how many seals hold before it.
const DEEDS: [(&str, Option<i64>, What, i64); 12] = [
    ("update identity.audit_event set subject = '9' where id = (select event_id from identity.audit_seal where place = 4)", Some(4), What::Changed, 3),
    ("update identity.audit_event set detail = detail || '{\"total\": 1}' where id = (select event_id from identity.audit_seal where place = 1)", Some(1), What::Changed, 0),
    ("update identity.audit_event set at = at + interval '1 us' where id = (select event_id from identity.audit_seal where place = 7)", Some(7), What::Changed, 6),
    ("update identity.audit_event set agent = '' where id = (select event_id from identity.audit_seal where place = 10)", Some(10), What::Changed, 9),
    ("delete from identity.audit_event where id = (select event_id from identity.audit_seal where place = 5)", Some(5), What::Missing, 4),
    // The end of the rows, of the rows and their seals, and of all three.
    ("delete from identity.audit_event where id in (select event_id from identity.audit_seal where place > 7)", Some(8), What::Missing, 7),
    ("with gone as (delete from identity.audit_seal where place > 7 returning event_id)
      delete from identity.audit_event where id in (select event_id from gone)", Some(8), What::Missing, 7),
    ("delete from identity.audit_seal where place = 6", Some(6), What::Missing, 5),
    ("delete from identity.audit_head", None, What::Missing, 0),
    // Two rows change places: seal and digest go with the row, the hash stays with the place.
    ("create temp table two as select * from identity.audit_seal where place in (3, 4);
      delete from identity.audit_seal where place in (3, 4);
      insert into identity.audit_seal select 7 - t.place, t.event_id, t.content, o.hash from two t join two o on o.place = 7 - t.place", Some(3), What::Moved, 2),
    ("update identity.audit_head set place = 9, hash = (select hash from identity.audit_seal where place = 9)", Some(10), What::Moved, 9),
    ("insert into identity.audit_event (id, actor, action, subject_kind, subject, correlation_id, detail)
      values (gen_random_uuid(), 'user:7', 'order.placed', 'order', '1', 'c', '{}')", None, What::Unlisted, 10),
];

#[tokio::test]
async fn whatever_was_done_to_the_books_shows_where_it_was_done() {
    for (deed, place, what, verified) in DEEDS {
        let database = sealed(10).await;
        assert!(verdict(&database.pool).await.ok, "before: {deed}");
        tamper(&database.pool, deed).await;
        let found = verdict(&database.pool).await;
        let broken = found.broken.unwrap_or_else(|| panic!("not found: {deed}"));
        assert_eq!((broken.place, broken.what, found.verified), (place, what, verified), "{deed}: {broken:?}");
        assert!(!found.ok);
    }
}

#[tokio::test]
async fn what_was_cut_off_stays_a_gap_when_sealing_goes_on() {
    let database = sealed(10).await;
    let cut = "with gone as (delete from identity.audit_seal where place > 7 returning event_id)
               delete from identity.audit_event where id in (select event_id from gone)";
    tamper(&database.pool, cut).await;
    write(&database.pool, 5).await;
    assert_eq!(sealer::work_off(&database.pool).await.expect("sealed"), 5);
    let found = verdict(&database.pool).await;
    let broken = found.broken.expect("it is broken");
    assert_eq!((broken.place, broken.what, found.head.expect("a head").place), (Some(8), What::Missing, 15));
    // From behind the gap on, the chain holds.
    let rest = verify::verify(&database.pool, 12, None).await.expect("a verdict");
    assert_eq!((rest.ok, rest.from, rest.verified), (true, 12, 4), "{:?}", rest.broken);
}

#[tokio::test]
async fn a_chain_that_was_made_anew_is_found_by_the_head_that_was_noted() {
    let database = sealed(10).await;
    let head = verdict(&database.pool).await.head.expect("a head");
    let noted = Noted { place: head.place, hash: head.hash.to_uppercase() };
    write(&database.pool, 3).await;
    sealer::work_off(&database.pool).await.expect("sealed");
    let good = verify::verify(&database.pool, 1, Some(&noted)).await.expect("a verdict");
    assert!(good.ok, "{:?}", good.broken);

    // A row goes, and whoever took it lets the program seal all of it anew.
    let anew = "delete from identity.audit_event where id = (select event_id from identity.audit_seal where place = 5);
                delete from identity.audit_seal;
                update identity.audit_head set place = 0, hash = decode(repeat('00', 32), 'hex');
                insert into identity.audit_unsealed (event_id, at) select id, at from identity.audit_event";
    tamper(&database.pool, anew).await;
    assert_eq!(sealer::work_off(&database.pool).await.expect("sealed"), 12);
    assert!(verdict(&database.pool).await.ok, "a whole chain, for who has no note");
    let found = verify::verify(&database.pool, 1, Some(&noted)).await.expect("a verdict");
    assert_eq!(found.broken.map(|broken| (broken.place, broken.what)), Some((Some(10), What::Changed)));
    let beyond = Noted { place: 13, ..noted };
    let found = verify::verify(&database.pool, 1, Some(&beyond)).await.expect("a verdict");
    assert_eq!(found.broken.map(|broken| (broken.place, broken.what)), Some((Some(13), What::Missing)));
}

#[tokio::test]
async fn a_row_that_went_before_its_seal_left_its_note() {
    let database = sealed(3).await;
    write(&database.pool, 2).await;
    let last =
        "delete from identity.audit_event where id = (select max(event_id::text)::uuid from identity.audit_unsealed)";
    tamper(&database.pool, last).await;
    assert_eq!(sealer::work_off(&database.pool).await.expect("sealed"), 1, "the other one is not held up");
    let found = verdict(&database.pool).await;
    assert_eq!((found.verified, found.unsealed.count), (4, 1));
    assert_eq!(found.broken.map(|broken| (broken.place, broken.what)), Some((None, What::Missing)));
}

#[tokio::test]
async fn the_command_says_where_and_ends_with_1() {
    let database = sealed(4).await;
    write(&database.pool, 2).await;
    let kopru = installation(&database);
    let good = shown(&kopru, &[], 0);
    assert_eq!((&good["ok"], &good["verified"], &good["from"]), (&true.into(), &4.into(), &1.into()), "{good}");
    assert_eq!((&good["unsealed"]["count"], &good["head"]["place"]), (&2.into(), &4.into()), "{good}");
    let head = format!("4:{}", good["head"]["hash"].as_str().expect("a hash"));
    let told = kopru.run(&["audit", "verify", "--noted", &head]).expect(0).stdout;
    assert!(told.contains(&head) && told.contains("4 sealed rows hold"), "{told}");
    assert_eq!(shown(&kopru, &["--from", "3"], 0)["verified"], 2);
    kopru.run(&["audit", "verify", "--noted", "4:abc"]).expect(2);
    kopru.run(&["audit", "verify", "--from", "0"]).expect(2);

    tamper(&database.pool, "update identity.audit_event set actor = 'user:8' where id = (select event_id from identity.audit_seal where place = 2)").await;
    let bad = shown(&kopru, &[], 1);
    assert_eq!((&bad["broken"]["what"], &bad["broken"]["place"]), (&"changed".into(), &2.into()), "{bad}");
    assert_eq!((&bad["ok"], &bad["verified"]), (&false.into(), &1.into()));
    let id = bad["broken"]["id"].as_str().expect("an id");
    let told = kopru.run(&["audit", "verify"]).expect(1).stderr;
    assert!(told.contains(id) && told.contains("place 2") && told.contains("changed"), "{told}");
}

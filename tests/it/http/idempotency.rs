//! `Idempotency-Key` over real sockets, with one server and with two on one database.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use kopru::identity::trim;
use reqwest::{Response, StatusCode};

use super::site::{Site, problem};
use crate::support::hub::eventually;

async fn post(site: &Site, path: &str, key: &str, name: &str, body: &'static str) -> Response {
    site.post(path, key, body).header("idempotency-key", name).send().await.expect("an answer")
}

fn replayed(response: &Response) -> bool {
    response.headers().get("idempotency-replayed").is_some_and(|value| value == "true")
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_one_effect() {
    let site = Site::new().await;
    let key = site.key().await;
    let first = post(&site, "/effects/a", &key, "order 1", "x").await;
    assert_eq!((first.status(), replayed(&first)), (StatusCode::CREATED, false));
    let content_type = first.headers()["content-type"].clone();
    let first = first.text().await.expect("text");
    let again = post(&site, "/effects/a", &key, "order 1", "x").await;
    assert_eq!((again.status(), replayed(&again)), (StatusCode::CREATED, true));
    assert_eq!(again.headers()["content-type"], content_type);
    assert_eq!(again.text().await.expect("text"), first);
    assert_eq!((site.runs(), site.count("public.effect").await), (1, 1));

    // Another key of theirs, another caller, no key: other requests.
    post(&site, "/effects/a", &key, "order 2", "x").await;
    post(&site, "/effects/a", &site.key().await, "order 1", "x").await;
    site.post("/effects/a", &key, "x").send().await.expect("an answer");
    assert_eq!(site.count("public.effect").await, 4);
}

#[tokio::test]
async fn the_same_key_for_another_request_is_refused() {
    let site = Site::new().await;
    let key = site.key().await;
    post(&site, "/effects/a", &key, "order 1", "x").await;
    for (path, body) in [("/effects/a", "y"), ("/effects/b", "x"), ("/effects/a?now=1", "x")] {
        problem(post(&site, path, &key, "order 1", body).await, 422, "idempotency_key_reused").await;
    }
    assert_eq!(site.count("public.effect").await, 1);
}

#[tokio::test]
async fn sixty_four_at_once_have_one_effect_and_equal_answers() {
    let site = Site::with(|build| build.servers = 2).await;
    let key = site.key().await;
    let answers = join_all((0..64).map(|number| {
        let url = format!("http://{}/effects/a", site.addresses[number % 2]);
        let request = site.client.post(url).header("x-api-key", &key).header("idempotency-key", "once").body("x");
        async {
            let response = request.send().await.expect("an answer");
            (response.status().as_u16(), replayed(&response), response.text().await.expect("text"))
        }
    }))
    .await;
    assert_eq!(site.count("public.effect").await, 1);
    assert_eq!(site.runs(), 1);
    assert_eq!(answers.iter().filter(|(_, replayed, _)| !replayed).count(), 1);
    let equal: BTreeSet<_> = answers.iter().map(|(status, _, body)| (*status, body.clone())).collect();
    assert_eq!(equal.len(), 1, "{equal:?}");
}

#[tokio::test]
async fn a_twin_that_waits_too_long_is_told_to_come_back() {
    for servers in [1, 2] {
        let site = Site::with(|build| {
            (build.gated, build.servers) = (true, servers);
            build.waits.twins = Duration::from_millis(300);
        })
        .await;
        let key = site.key().await;
        let send = |server: usize| {
            let url = format!("http://{}/effects/a", site.addresses[server]);
            let request = site.client.post(url).header("x-api-key", &key).header("idempotency-key", "slow").body("x");
            tokio::spawn(request.send())
        };
        let first = send(0);
        eventually("the first one works", || async { site.runs() == 1 }).await;
        // In the same process, or in another one.
        let twin = send(servers - 1).await.expect("no panic").expect("an answer");
        assert_eq!(twin.headers()["retry-after"], "5");
        problem(twin, 409, "idempotency_key_in_use").await;
        site.work.gate.add_permits(10);
        assert_eq!(first.await.expect("no panic").expect("an answer").status(), StatusCode::CREATED);
        // It may still wait for the lock of the one before, which is about to be let go.
        eventually("the answer is given again", || async {
            let late = send(servers - 1).await.expect("no panic").expect("an answer");
            late.status() == StatusCode::CREATED && replayed(&late)
        })
        .await;
        assert_eq!(site.runs(), 1);
    }
}

#[tokio::test]
async fn a_caller_who_went_away_leaves_nothing_behind() {
    let site = Site::with(|build| build.gated = true).await;
    let key = site.key().await;
    let gone = tokio::spawn(site.post("/effects/a", &key, "x").header("idempotency-key", "k").send());
    eventually("it works", || async { site.runs() == 1 }).await;
    gone.abort();
    site.work.gate.add_permits(10);
    let again = post(&site, "/effects/a", &key, "k", "x").await;
    assert_eq!(again.status(), StatusCode::CREATED);
    assert_eq!(site.count("public.effect").await, 1);
}

#[tokio::test]
async fn a_refusal_is_kept_without_its_effect_and_a_failure_is_not_kept() {
    let site = Site::new().await;
    let key = site.key().await;
    let mut first = problem(post(&site, "/effects/a", &key, "1", "refuse").await, 400, "bad_request").await;
    let again = post(&site, "/effects/a", &key, "1", "refuse").await;
    assert!(replayed(&again));
    let mut again = problem(again, 400, "bad_request").await;
    assert_eq!(again, first);
    assert_eq!(first["detail"].take(), "refused in run 1");
    again.take();
    for (name, body, status) in [("2", "forbid", 403), ("3", "fail", 500)] {
        for _ in 0..2 {
            let response = post(&site, "/effects/a", &key, name, body).await;
            assert_eq!((response.status().as_u16(), replayed(&response)), (status, false));
        }
    }
    assert_eq!(site.runs(), 5);
    assert_eq!((site.count("public.effect").await, site.count("identity.idempotent_answer").await), (0, 1));
}

#[tokio::test]
async fn an_effect_that_lost_against_another_writer_is_run_again() {
    for headers in [&[][..], &[("idempotency-key", "k")]] {
        let site = Site::new().await;
        let key = site.key().await;
        let request = headers
            .iter()
            .fold(site.post("/effects/a", &key, "again"), |request, (name, value)| request.header(*name, *value));
        assert_eq!(request.send().await.expect("an answer").status(), StatusCode::CREATED);
        assert_eq!((site.runs(), site.count("public.effect").await), (2, 1));
    }
}

#[tokio::test]
async fn a_key_has_bounds() {
    let site = Site::new().await;
    let key = site.key().await;
    let longest = "x".repeat(255);
    assert_eq!(post(&site, "/effects/a", &key, &longest, "x").await.status(), StatusCode::CREATED);
    let too_long = "x".repeat(256);
    for bad in ["", too_long.as_str(), "şeker", "a\tb"] {
        let document = problem(post(&site, "/effects/a", &key, bad, "x").await, 400, "idempotency_key_invalid").await;
        assert!(document["detail"].as_str().expect("text").contains("Idempotency-Key"), "{document}");
    }
    let twice = site.post("/effects/a", &key, "x").header("idempotency-key", "a").header("idempotency-key", "b");
    problem(twice.send().await.expect("an answer"), 400, "idempotency_key_invalid").await;
    assert_eq!(site.runs(), 1);
}

#[tokio::test]
async fn answers_are_kept_for_a_day() {
    let site = Site::new().await;
    let key = site.key().await;
    for name in ["old", "new"] {
        post(&site, "/effects/a", &key, name, "x").await;
    }
    let age = "update identity.idempotent_answer set created_at = created_at - interval '24 hours' where key = 'old'";
    sqlx::raw_sql(age).execute(site.pool()).await.expect("aged");
    // Not trimmed yet, and not valid any more: the key is free, and keeps the new answer.
    let fresh = post(&site, "/effects/a", &key, "old", "y").await;
    assert_eq!((fresh.status(), replayed(&fresh)), (StatusCode::CREATED, false));
    assert!(replayed(&post(&site, "/effects/a", &key, "old", "y").await));
    sqlx::raw_sql(age).execute(site.pool()).await.expect("aged");
    assert_eq!(trim::once(site.pool(), 180).await.expect("trimmed"), 1);
    assert_eq!(site.count("identity.idempotent_answer").await, 1);
    assert!(replayed(&post(&site, "/effects/a", &key, "new", "x").await));
}

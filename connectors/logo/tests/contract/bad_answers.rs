//! What the connector does when LOGO answers in ways that a well-behaved server never would.

use std::time::Duration;

use axum::body::Body;
use futures::{StreamExt as _, future::join_all, stream};
use kopru_logo::sql::Query;
use kopru_sdk::Cause;
use serde_json::{Value, json};

use crate::support::{ITEMS, Seen, Server, TOKEN, answer, cx, denied, no_items, pull, reply, token};

fn rest() -> Value {
    json!({"via": "rest"})
}

#[tokio::test]
async fn one_sign_in_serves_all_who_wait_for_it() {
    let server = Server::start(|seen, before| if seen.path == TOKEN { token(before, 1199) } else { no_items() }).await;
    let connector = server.connector(json!({"via": "rest", "read_concurrency": 8}));
    let pulls = join_all((0..8).map(|_| pull(&*connector, "items", None))).await;
    assert!(pulls.iter().all(Result::is_ok));
    assert_eq!(server.seen(TOKEN).len(), 1);
    assert_eq!(server.seen(ITEMS).len(), 8);
}

#[tokio::test]
async fn a_failed_sign_in_is_shared_and_not_repeated_by_those_who_waited() {
    let server = Server::start(|_, _| answer(400, &json!({"error": "invalid_grant"}))).await;
    let connector = server.connector(json!({"via": "rest", "read_concurrency": 8}));
    let pulls = join_all((0..8).map(|_| pull(&*connector, "items", None))).await;
    assert!(pulls.iter().all(|pull| pull.as_ref().unwrap_err().class() == "unauthenticated"));
    assert_eq!(server.seen(TOKEN).len(), 1);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let server = Server::start(|seen, before| if seen.path == TOKEN { token(before, 0) } else { no_items() }).await;
    let connector = server.connector(rest());
    for _ in 0..3 {
        pull(&*connector, "items", None).await.unwrap();
    }
    assert_eq!(server.seen(TOKEN).len(), 3);
    let used: Vec<String> = server.seen(ITEMS).iter().map(|seen| seen.header("authorization").to_owned()).collect();
    assert_eq!(used, ["Bearer token-0", "Bearer token-1", "Bearer token-2"]);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_call_repeated_once() {
    let login_error = || answer(400, &json!({"Message": "x", "ModelState": {"LoginError": ["Oturum yok."]}}));
    let under_200 = || answer(200, &json!({"Message": "x", "ModelState": {"LoginError": ["Oturum yok."]}}));
    for refuse in [denied as fn() -> _, login_error, under_200] {
        let server = Server::start(move |seen, before| match seen.path.as_str() {
            TOKEN => token(before, 1199),
            _ if seen.header("authorization") == "Bearer token-0" => refuse(),
            _ => no_items(),
        })
        .await;
        pull(&*server.connector(rest()), "items", None).await.unwrap();
        assert_eq!((server.seen(TOKEN).len(), server.seen(ITEMS).len()), (2, 2));

        let server =
            Server::start(move |seen, before| if seen.path == TOKEN { token(before, 1199) } else { refuse() }).await;
        let fault = pull(&*server.connector(rest()), "items", None).await.unwrap_err();
        assert_eq!(fault.class(), "unauthenticated");
        assert_eq!((server.seen(TOKEN).len(), server.seen(ITEMS).len()), (2, 2));
    }
}

#[tokio::test]
async fn a_client_that_basic_does_not_show_is_shown_in_the_body_from_then_on() {
    let server = Server::start(|seen, before| match seen.path.as_str() {
        TOKEN if seen.headers.contains_key("authorization") => answer(400, &json!({"error": "invalid_client"})),
        TOKEN => token(before, 0),
        _ => no_items(),
    })
    .await;
    let connector = server.connector(rest());
    for _ in 0..2 {
        pull(&*connector, "items", None).await.unwrap();
    }
    let tokens = server.seen(TOKEN);
    let basic: Vec<bool> = tokens.iter().map(|seen| seen.headers.contains_key("authorization")).collect();
    assert_eq!(basic, [true, false, false]);
    assert_eq!(
        tokens[1].body,
        "grant_type=password&username=KOPRU&firmno=7&password=p%40rola&client_id=KOPRU&client_secret=gizli"
    );
}

#[tokio::test]
async fn wrong_credentials_are_told_without_the_credentials() {
    for (error, calls) in [("invalid_client", 2), ("invalid_grant", 1)] {
        let server = Server::start(move |_, _| answer(400, &json!({"error": error, "error_description": "x"}))).await;
        let fault = server.connector(rest()).check(&cx()).await.unwrap_err();
        assert_eq!(fault.class(), "unauthenticated");
        let text = format!("{fault} {fault:?}");
        assert!(text.contains(error) && !text.contains("gizli") && !text.contains("rola"), "{text}");
        assert_eq!(server.seen(TOKEN).len(), calls);
    }
}

#[tokio::test]
async fn pages_go_on_by_the_rows_received() {
    // Asked for 50, the site gives 25, and its counts and links are of no help.
    let server = Server::start(|seen, before| match seen.path.as_str() {
        TOKEN => token(before, 1199),
        _ if seen.query.get("offset").is_some_and(|offset| offset == "0") => answer(400, &json!({"Message": "offset"})),
        _ => {
            let offset: usize = seen.query.get("offset").map_or(0, |offset| offset.parse().unwrap());
            let rows: Vec<Value> =
                (offset..60.min(offset + 25)).map(|n| json!({"INTERNAL_REFERENCE": n + 1})).collect();
            answer(200, &json!({"Meta": {}, "totalCount": 7, "count": 3, "items": rows}))
        }
    })
    .await;
    let connector = server.connector(json!({"via": "rest", "page_limit": 50}));
    let mut sizes = Vec::new();
    let mut cursor = None;
    loop {
        let page = pull(&*connector, "items", cursor.as_ref()).await.unwrap();
        sizes.push(page.rows);
        cursor = Some(page.cursor);
        if page.end {
            break;
        }
    }
    assert_eq!(sizes, [25, 25, 10, 0]);
    let asked = server.seen(ITEMS);
    let offsets: Vec<Option<&str>> = asked.iter().map(|seen| seen.query.get("offset").map(String::as_str)).collect();
    assert_eq!(offsets, [None, Some("25"), Some("50"), Some("60")]);
    assert!(asked.iter().all(|seen| seen.query["sort"] == "INTERNAL_REFERENCE" && seen.query["limit"] == "50"));
}

/// The class of a pull whose list is answered so.
async fn class_of(list: impl Fn(&Seen) -> axum::http::Response<Body> + Send + Sync + 'static) -> (String, String) {
    class_within("60s", list).await
}

async fn class_within(
    time_out: &str,
    list: impl Fn(&Seen) -> axum::http::Response<Body> + Send + Sync + 'static,
) -> (String, String) {
    let server =
        Server::start(move |seen, before| if seen.path == TOKEN { token(before, 1199) } else { list(seen) }).await;
    let connector = server.connector(json!({"via": "rest", "timeouts": {"read": time_out}}));
    match pull(&*connector, "items", None).await {
        Ok(page) => ("ok".to_owned(), String::from_utf8_lossy(&page.body).into_owned()),
        Err(fault) => (fault.class().to_owned(), fault.to_string()),
    }
}

#[tokio::test]
async fn answers_that_are_no_lists_are_transient() {
    const JSON: &str = "application/json; charset=utf-8";
    assert_eq!(class_of(|_| reply(200, "text/html", "<html>Bakım</html>")).await.0, "transient");
    assert_eq!(class_of(|_| reply(200, JSON, "<html>Bakım</html>")).await.0, "transient");
    assert_eq!(class_of(|_| reply(200, JSON, r#"{"items":[{"CODE":"A"},"#)).await.0, "transient");
    assert_eq!(class_of(|_| reply(200, JSON, "")).await.0, "transient");
    assert_eq!(class_of(|_| reply(200, JSON, "{}")).await.0, "transient");
    assert_eq!(class_of(|_| reply(502, "text/html", "<html>Bad Gateway</html>")).await.0, "transient");
}

#[tokio::test]
async fn a_cut_connection_is_transient() {
    let cut = |_: &Seen| {
        let chunks = stream::iter([Ok("{\"items\":["), Err(std::io::Error::other("cut"))]);
        reply(200, "application/json", Body::from_stream(chunks))
    };
    assert_eq!(class_of(cut).await.0, "transient");
}

#[tokio::test]
async fn an_answer_that_never_comes_is_transient() {
    let hang = |_: &Seen| {
        let silence = stream::once(async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok::<_, std::io::Error>("late")
        });
        reply(200, "application/json", Body::from_stream(silence))
    };
    // `cmd_timeout` bounds queries only; a list is bounded by `timeouts.read`.
    assert_eq!(class_within("500ms", hang).await.0, "transient");
}

/// A list of which every row weighs 100 KiB, and the one with this reference so many.
fn heavy(rows: impl Iterator<Item = i64>, giant: i64, kib: usize) -> axum::http::Response<Body> {
    let rows = rows.map(|n| {
        let kib = if n == giant { kib } else { 100 };
        json!({"INTERNAL_REFERENCE": n, "CODE": format!("K{n}"), "NAME3": "x".repeat(kib * 1024)})
    });
    answer(200, &json!({"items": rows.collect::<Vec<_>>()}))
}

/// A table of forty heavy rows, by either way.
async fn heavy_table(giant: i64, kib: usize) -> Server {
    Server::start(move |seen, before| match (seen.path.as_str(), seen.sql()) {
        (TOKEN, _) => token(before, 1199),
        (ITEMS, _) => {
            let number = |name: &str| seen.query.get(name).map_or(0, |text| text.parse::<i64>().unwrap());
            heavy((number("offset") + 1..=40).take(number("limit") as usize), giant, kib)
        }
        (_, Some(Query::ServerTime)) => answer(200, &json!({"items": [{"STAMP": "2026-03-02T09:00:00"}]})),
        (_, Some(Query::Items { after, .. })) => {
            heavy((after.reference + 1..=40).take(after.limit as usize), giant, kib)
        }
        _ => answer(200, &json!({"items": []})),
    })
    .await
}

#[tokio::test]
async fn a_page_larger_than_an_answer_may_be_is_asked_for_by_halves() {
    for way in [json!({"via": "rest", "page_limit": 25}), json!({"sql_page": 25})] {
        let server = heavy_table(0, 0).await;
        let mut settings = way.clone();
        settings["max_answer_mib"] = json!(1);
        let connector = server.connector(settings);
        let (mut sizes, mut cursor) = (Vec::new(), None);
        loop {
            let page = pull(&*connector, "items", cursor.as_ref()).await.unwrap();
            if page.end {
                break;
            }
            sizes.push(page.rows);
            cursor = Some(page.cursor);
        }
        // Ten rows of 100 KiB fit; 25 and 12 do not. The size that fits stays for the pass.
        assert_eq!(sizes, [6, 6, 6, 6, 6, 6, 4], "{way}");
    }
}

#[tokio::test]
async fn one_record_too_large_by_itself_is_told_with_the_remedy_and_is_no_outage() {
    for (way, size) in [(json!({"via": "rest", "page_limit": 25}), "page_limit"), (json!({}), "sql_page")] {
        let server = heavy_table(3, 2_000).await;
        let mut settings = way.clone();
        settings["max_answer_mib"] = json!(1);
        let connector = server.connector(settings);
        // What stands before it still comes.
        let page = pull(&*connector, "items", None).await.unwrap();
        assert!(page.rows > 0 && page.rows < 3);
        let page = pull(&*connector, "items", Some(&page.cursor)).await;
        let fault = match page {
            Ok(page) => pull(&*connector, "items", Some(&page.cursor)).await.unwrap_err(),
            Err(fault) => fault,
        };
        let text = fault.to_string();
        assert_eq!((fault.class(), fault.cause()), ("permanent", Cause::Data), "{text}");
        assert!(text.contains("`max_answer_mib`") && text.contains(&format!("`{size}`")), "{text}");
    }
}

#[tokio::test]
async fn a_hundred_megabytes_are_refused() {
    // Whatever the page, it is halved down to one row.
    let flood = |_: &Seen| {
        let block = bytes::Bytes::from(vec![b' '; 1024 * 1024]);
        let blocks = stream::iter(std::iter::repeat_n(block, 100)).map(Ok::<_, std::io::Error>);
        reply(200, "application/json", Body::from_stream(blocks))
    };
    let (class, text) = class_of(flood).await;
    assert!(class == "permanent" && text.contains("larger than 32 MiB"), "{class}: {text}");
}

#[tokio::test]
async fn turkish_code_pages_are_read_and_undeclared_ones_named() {
    const BODY: &[u8] = b"{\"items\":[{\"NAME\":\"Ya\xF0\xFDz \xDE\xDD\xD0\"}]}";
    for charset in ["windows-1254", "ISO-8859-9"] {
        let kind = format!("application/json; charset={charset}");
        let (class, text) = class_of(move |_| reply(200, &kind, BODY)).await;
        assert!(class == "ok" && text.contains("Yağız ŞİĞ"), "{class}: {text}");
    }
    let (class, text) = class_of(|_| reply(200, "application/json", BODY)).await;
    assert!(class == "transient" && text.contains("byte 0xF0 at offset 21 is not UTF-8"), "{class}: {text}");
}

#[tokio::test]
async fn refusals_of_a_read_are_nobodys_document() {
    let state = |entries: Value| move |_: &Seen| answer(400, &json!({"Message": "x", "ModelState": entries}));
    assert_eq!(class_of(state(json!({"LOError:": ["Geçersiz alan"]}))).await.0, "contract");
    assert_eq!(class_of(state(json!({"LOError:": ["Terminal sayısı aşıldı (-93)"]}))).await.0, "transient");
    assert_eq!(class_of(state(json!({"LOError:": ["-13 lisans yok"]}))).await.0, "contract");
    assert_eq!(class_of(state(json!({"OtherError": ["deadlock"]}))).await.0, "transient");
    assert_eq!(class_of(|_| answer(403, &json!({"Message": "x"}))).await.0, "contract");
    assert_eq!(class_of(|_| answer(404, &json!({"Message": "x"}))).await.0, "contract");
}

#[tokio::test]
async fn the_wait_that_is_asked_for_is_passed_on() {
    let server = Server::start(|seen, before| {
        if seen.path == TOKEN {
            return token(before, 1199);
        }
        let mut answer = answer(429, &json!({"Message": "slow down"}));
        answer.headers_mut().insert("retry-after", "17".parse().unwrap());
        answer
    })
    .await;
    match pull(&*server.connector(rest()), "items", None).await.unwrap_err() {
        kopru_sdk::Fault::RateLimited { wait, .. } => assert_eq!(wait, Some(Duration::from_secs(17))),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_token_is_given_back_at_the_end() {
    let server = Server::start(|seen, before| if seen.path == TOKEN { token(before, 1199) } else { no_items() }).await;
    let connector = server.connector(rest());
    connector.close(&cx()).await;
    assert!(server.seen("/api/v1/revoke").is_empty());
    pull(&*connector, "items", None).await.unwrap();
    connector.close(&cx()).await;
    connector.close(&cx()).await;
    let revoked = server.seen("/api/v1/revoke");
    assert_eq!(revoked.len(), 1);
    assert_eq!(revoked[0].header("authorization"), "Bearer token-0");
}

#[tokio::test]
async fn without_sql_the_check_asks_for_the_active_period() {
    let server = Server::start(|seen, before| match seen.path.as_str() {
        TOKEN => token(before, 1199),
        "/api/v1/methods/CurrentPeriod" => reply(200, "application/json", "2"),
        _ => no_items(),
    })
    .await;
    let settings = |period: u16| json!({"stock_source": "off", "period": period});
    server.connector(settings(2)).check(&cx()).await.unwrap();
    let fault = server.connector(settings(1)).check(&cx()).await.unwrap_err();
    assert!(fault.class() == "contract" && fault.to_string().contains("is 2 in LOGO"), "{fault}");
    let names: Vec<&str> = server.connector(settings(2)).source().unwrap().streams().iter().map(|s| s.name).collect();
    assert!(!names.contains(&"stock"));
}

//! The habits in which sites differ, on the simulated LOGO.

use std::sync::Arc;

use kopru_logo::DESCRIPTOR;
use kopru_sdk::{
    Connector, Ctx, Settings,
    sandbox::{RunningSandbox, Sandbox, SandboxClock, SandboxOptions},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

struct Site {
    settings: Value,
    _sandbox: RunningSandbox,
}

async fn site(switches: Value) -> Site {
    let options = SandboxOptions { items: 120, switches: json!({"logo": switches}), ..SandboxOptions::default() };
    let system = (DESCRIPTOR.sandbox)(&options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sandbox = Sandbox::start(listener, vec![("logo", Arc::clone(&system))], None).unwrap();
    Site { settings: system.settings(&sandbox.base_url("logo")), _sandbox: sandbox }
}

fn connector(site: &Site, extra: Value) -> Arc<dyn Connector> {
    let mut values = site.settings.clone();
    values.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    (DESCRIPTOR.build)(&Settings { instance: "logo".to_owned(), values, dir: "unused".into() }).unwrap()
}

fn cx() -> Ctx {
    Ctx { now: SandboxClock::default().now(), correlation_id: "test".to_owned() }
}

async fn check(site: &Site, extra: Value) -> Result<(), (String, String)> {
    connector(site, extra).check(&cx()).await.map_err(|fault| (fault.class().to_owned(), fault.to_string()))
}

/// Records of a full pass.
async fn count(connector: &dyn Connector, stream: &str) -> usize {
    let (mut rows, mut cursor) = (0, None);
    loop {
        let page = crate::support::pull_at(connector, stream, cursor.as_ref(), &cx()).await.unwrap();
        rows += page.rows;
        cursor = Some(page.cursor);
        if page.end {
            return rows;
        }
    }
}

#[tokio::test]
async fn the_client_is_shown_as_the_site_wants_it() {
    for switch in ["basic_only", "body_only"] {
        let site = site(json!({switch: true})).await;
        check(&site, json!({})).await.unwrap();
    }
    let body_only = site(json!({"body_only": true})).await;
    assert_eq!(check(&body_only, json!({"token_auth": "basic"})).await.unwrap_err().0, "unauthenticated");
    check(&body_only, json!({"token_auth": "body", "token_content_type": "json"})).await.unwrap();
}

#[tokio::test]
async fn a_firm_that_is_not_there_is_a_credential() {
    let site = site(json!({})).await;
    let (class, text) = check(&site, json!({"firm": 8})).await.unwrap_err();
    assert!(class == "unauthenticated" && text.contains("firm 8"), "{class}: {text}");
}

#[tokio::test]
async fn a_period_that_is_over_is_told_by_the_check() {
    let site = site(json!({"period_begin": "2020-01-01", "period_end": "2020-12-31"})).await;
    for (period, text) in [(json!({"period": 1}), "does not cover"), (json!({"period": null}), "no period of firm 7")] {
        let (class, found) = check(&site, period).await.unwrap_err();
        assert!(class == "contract" && found.contains(text), "{class}: {found}");
    }
}

#[tokio::test]
async fn a_period_that_does_not_exist_is_told_by_the_check() {
    let site = site(json!({})).await;
    let (class, text) = check(&site, json!({"period": 2})).await.unwrap_err();
    assert!(class == "contract" && text.contains("has no period 2"), "{class}: {text}");
}

#[tokio::test]
async fn sql_that_is_not_allowed_is_told_with_the_remedy_and_not_needed_for_lists() {
    let site = site(json!({"sql_allowed": false})).await;
    let (class, text) = check(&site, json!({})).await.unwrap_err();
    assert!(class == "contract" && text.contains("is SELECT allowed"), "{class}: {text}");
    let lists = connector(&site, json!({"stock_source": "off"}));
    lists.check(&cx()).await.unwrap();
    assert!(count(&*lists, "items").await >= 120);
}

#[tokio::test]
async fn lists_are_read_to_their_end_whatever_the_site_does_to_pages() {
    let mut counts = Vec::new();
    for (switches, settings) in [
        (json!({}), json!({"page_limit": 100})),
        (json!({"page_ceiling": 7}), json!({})),
        (json!({"page_ceiling": 0}), json!({"page_limit": 1000})),
        (json!({"offset_zero_refused": true}), json!({})),
        (json!({}), json!({"send_offset_zero": true, "sort": "CODE desc"})),
    ] {
        let site = site(switches).await;
        let mut settings = settings;
        settings["via"] = json!("rest");
        counts.push(count(&*connector(&site, settings), "items").await);
    }
    assert!(counts[0] >= 120 && counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

#[tokio::test]
async fn a_token_that_ends_in_mid_pass_is_renewed() {
    let site = site(json!({"token_lifetime_secs": 1, "query_millis": 250})).await;
    assert!(count(&*connector(&site, json!({"sql_page": 20})), "items").await >= 120);
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_transient() {
    let site = site(json!({"query_millis": 1_500})).await;
    let (class, text) = check(&site, json!({"cmd_timeout": 1, "timeouts": {"read": 5}})).await.unwrap_err();
    assert_eq!(class, "transient", "{text}");
}

//! Looking after people: by the house for all, by a dealer's owner for the own company.

use futures::future::join_all;
use kopru::{mail::MailKind, principal::Role};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::sign_in::login;
use crate::support::{
    hub::eventually,
    people::{self, PASSWORD},
    served::{Served, json_of, problem_of},
};

const USERS: &str = "/api/v1/users";

async fn patch(served: &Served, token: &str, id: i64, body: &Value) -> Response {
    served.send(Method::PATCH, &format!("{USERS}/{id}"), token, body).await
}

fn invitation(email: &str, role: &str) -> Value {
    json!({ "email": email, "fullName": "Mehmet Ak", "role": role })
}

#[tokio::test]
async fn an_admin_invites_and_the_invited_one_chooses_a_password() {
    let served = Served::new().await;
    let admin = served.token(Role::SuperAdmin, None).await;
    let body = invitation("MEHMET@kopru.test", "content_manager");
    let made = json_of(served.post(USERS, &admin, &body).await, StatusCode::CREATED).await;
    assert_eq!((&made["email"], &made["state"]), (&json!("mehmet@kopru.test"), &json!("invited")));
    problem_of(served.post(USERS, &admin, &body).await, 409, "email_taken").await;
    let id = made["id"].as_i64().expect("an id");
    problem_of(patch(&served, &admin, id, &json!({ "state": "active" })).await, 409, "not_yet_active").await;

    let path = format!("{USERS}/{id}/invite");
    json_of(served.post(&path, &admin, &json!({})).await, StatusCode::ACCEPTED).await;
    let mails = served.mails().await;
    assert_eq!((mails.len(), mails[1].0.kind), (2, MailKind::Invitation));
    let choose = async |token: &str| {
        served.post("/api/v1/auth/password/reset", "", &json!({ "token": token, "password": PASSWORD })).await
    };
    problem_of(choose(&mails[0].1).await, 400, "link_invalid").await;
    assert_eq!(choose(&mails[1].1).await.status(), StatusCode::NO_CONTENT);
    let tokens = login(&served, "mehmet@kopru.test").await;
    let me = served.get("/api/v1/me", tokens["accessToken"].as_str().expect("a token")).await;
    assert_eq!(json_of(me, StatusCode::OK).await["role"], "content_manager");
    problem_of(served.post(&path, &admin, &json!({})).await, 409, "conflict").await;
}

#[tokio::test]
async fn an_invitation_sent_twice_with_one_key_is_one_user_and_one_mail() {
    let served = Served::new().await;
    let admin = served.token(Role::SuperAdmin, None).await;
    let body = invitation("mehmet@kopru.test", "content_manager");
    let ask = || async {
        let request = served.request(Method::POST, USERS, &admin).header("idempotency-key", "k-1").json(&body);
        request.send().await.expect("an answer")
    };
    let answers = join_all((0..8).map(|_| ask())).await;
    assert!(answers.iter().all(|answer| answer.status() == StatusCode::CREATED));
    assert_eq!(served.mails().await.len(), 1);
    // What may not be done is not kept: with another role the same key works.
    let viewer = served.token(Role::SalesManager, None).await;
    let with = |token: &str| served.request(Method::POST, USERS, token).header("idempotency-key", "k-2").json(&body);
    problem_of(with(&viewer).send().await.expect("an answer"), 403, "permission_missing").await;
    assert_eq!(served.hub.count("identity.idempotent_answer where key = 'k-2'").await, 0);
}

#[tokio::test]
async fn an_owner_looks_after_the_own_company_and_sees_no_other() {
    let served = Served::new().await;
    let (mine, theirs) =
        (people::company(served.pool(), "120.01.001").await, people::company(served.pool(), "120.01.002").await);
    let owner = served.token(Role::DealerOwner, Some(mine)).await;
    let foreign = people::signed_in(served.pool(), &served.clock, Role::DealerViewer, Some(theirs)).await.0;
    let house = people::signed_in(served.pool(), &served.clock, Role::SuperAdmin, None).await.0;

    let made = served.post(USERS, &owner, &invitation("m@bayi.test", "dealer_purchasing")).await;
    assert_eq!(json_of(made, StatusCode::CREATED).await["companyId"], mine);
    for (body, status, code) in [
        (json!({ "email": "a@bayi.test", "fullName": "A", "role": "super_admin" }), 403, "role_not_yours"),
        (
            json!({ "email": "a@bayi.test", "fullName": "A", "role": "dealer_viewer", "companyId": theirs }),
            400,
            "invalid",
        ),
        (
            json!({ "email": "a@bayi.test", "fullName": "A", "role": "dealer_viewer", "companyId": 4711 }),
            400,
            "invalid",
        ),
        (json!({ "email": "a@bayi.test", "fullName": "A", "role": "nothing" }), 400, "invalid"),
        (json!({ "email": "a@bayi.test", "fullName": "A\u{0}", "role": "dealer_viewer" }), 400, "invalid"),
        (
            json!({ "email": "a@bayi.test", "fullName": "A", "role": "dealer_viewer", "passwd": "x" }),
            400,
            "bad_request",
        ),
    ] {
        problem_of(served.post(USERS, &owner, &body).await, status, code).await;
    }
    let listed = json_of(served.get(USERS, &owner).await, StatusCode::OK).await;
    let companies: Vec<&Value> = listed["items"].as_array().expect("a list").iter().map(|u| &u["companyId"]).collect();
    assert_eq!(companies, [&json!(mine), &json!(mine)]);
    let narrowed = format!("{USERS}?companyId={theirs}");
    assert_eq!(json_of(served.get(&narrowed, &owner).await, StatusCode::OK).await["items"], json!([]));
    for id in [foreign.user_id().expect("a user"), house.user_id().expect("a user"), 4711] {
        problem_of(served.get(&format!("{USERS}/{id}"), &owner).await, 404, "not_found").await;
        problem_of(patch(&served, &owner, id, &json!({ "state": "disabled" })).await, 404, "not_found").await;
        problem_of(served.post(&format!("{USERS}/{id}/invite"), &owner, &json!({})).await, 404, "not_found").await;
    }
    // Who may not, may not, whoever's it is.
    for role in [Role::DealerViewer, Role::DealerFinance, Role::DealerPurchasing] {
        let token = served.token(role, Some(mine)).await;
        problem_of(served.get(USERS, &token).await, 403, "permission_missing").await;
        problem_of(patch(&served, &token, 1, &json!({})).await, 403, "permission_missing").await;
    }
    problem_of(served.get(USERS, "").await, 401, "token_missing").await;
}

#[tokio::test]
async fn a_changed_role_holds_at_once_and_is_in_the_books() {
    let served = Served::new().await;
    let admin = served.token(Role::SuperAdmin, None).await;
    let user = people::with_password(served.pool(), &served.clock, Role::CustomerService, None, "cs@kopru.test").await;
    let tokens = login(&served, "cs@kopru.test").await;
    let access = tokens["accessToken"].as_str().expect("a token");
    let body = json!({ "role": "finance_manager", "fullName": "Yeni Ad", "phone": "0212 555 01 87" });
    let changed = json_of(patch(&served, &admin, user.id, &body).await, StatusCode::OK).await;
    assert_eq!((&changed["role"], &changed["phone"]), (&json!("finance_manager"), &json!("+902125550187")));
    eventually("the token ends", || async {
        served.get("/api/v1/me", access).await.status() == StatusCode::UNAUTHORIZED
    })
    .await;
    let refreshed = served.post("/api/v1/auth/refresh", "", &json!({ "refreshToken": tokens["refreshToken"] })).await;
    let refreshed = json_of(refreshed, StatusCode::OK).await;
    let me = served.get("/api/v1/me", refreshed["accessToken"].as_str().expect("a token")).await;
    assert_eq!(json_of(me, StatusCode::OK).await["role"], "finance_manager");

    let row = served
        .hub
        .row("select actor, subject, host(address) as address, detail from identity.audit_event where action = 'user.changed'")
        .await;
    assert_eq!((&row["subject"], &row["address"]), (&json!(user.id.to_string()), &json!("127.0.0.1")));
    let expected = json!({
        "role": { "before": "customer_service", "after": "finance_manager" }, "changed": ["fullName", "phone"],
    });
    assert_eq!(row["detail"], expected);
    // A role of the other kind would need a company.
    problem_of(patch(&served, &admin, user.id, &json!({ "role": "dealer_owner" })).await, 400, "invalid").await;
    for body in
        [json!({ "role": "x" }), json!({ "state": "gone" }), json!({ "phone": "x" }), json!({ "fullName": " " })]
    {
        problem_of(patch(&served, &admin, user.id, &body).await, 400, "invalid").await;
    }
}

#[tokio::test]
async fn a_disabled_user_is_out_and_may_come_back() {
    let served = Served::new().await;
    let admin = served.token(Role::SuperAdmin, None).await;
    let user = people::with_password(served.pool(), &served.clock, Role::CustomerService, None, "cs@kopru.test").await;
    let tokens = login(&served, "cs@kopru.test").await;
    json_of(patch(&served, &admin, user.id, &json!({ "state": "disabled" })).await, StatusCode::OK).await;
    let access = tokens["accessToken"].as_str().expect("a token");
    problem_of(served.get("/api/v1/me", access).await, 401, "session_ended").await;
    let refresh = json!({ "refreshToken": tokens["refreshToken"] });
    problem_of(served.post("/api/v1/auth/refresh", "", &refresh).await, 401, "refresh_token_invalid").await;
    json_of(patch(&served, &admin, user.id, &json!({ "state": "active" })).await, StatusCode::OK).await;
    login(&served, "cs@kopru.test").await;
}

#[tokio::test]
async fn somebody_stays() {
    let served = Served::new().await;
    let company = people::company(served.pool(), "120.01.001").await;
    let (first, first_token) = people::signed_in(served.pool(), &served.clock, Role::DealerOwner, Some(company)).await;
    let id = first.user_id().expect("a user");
    problem_of(patch(&served, &first_token, id, &json!({ "state": "disabled" })).await, 409, "last_owner").await;
    problem_of(patch(&served, &first_token, id, &json!({ "role": "dealer_viewer" })).await, 409, "last_owner").await;
    let (second, second_token) =
        people::signed_in(served.pool(), &served.clock, Role::DealerOwner, Some(company)).await;
    // Two owners send each other away at once: one stays.
    let (disabled, other) = (json!({ "state": "disabled" }), second.user_id().expect("a user"));
    let (one, two) =
        tokio::join!(patch(&served, &first_token, other, &disabled), patch(&served, &second_token, id, &disabled),);
    let active =
        served.hub.count(&format!("identity.app_user where company_id = {company} and state = 'active'")).await;
    assert_eq!(active, 1, "{} {}", one.status(), two.status());

    let (admin, token) = people::signed_in(served.pool(), &served.clock, Role::SuperAdmin, None).await;
    let id = admin.user_id().expect("a user");
    problem_of(patch(&served, &token, id, &json!({ "state": "disabled" })).await, 409, "last_super_admin").await;
    problem_of(patch(&served, &token, id, &json!({ "role": "sales_manager" })).await, 409, "last_super_admin").await;
}

#[tokio::test]
async fn a_list_is_searched_and_paged() {
    let served = Served::new().await;
    let admin = served.token(Role::SuperAdmin, None).await;
    for number in 0..5 {
        let body = invitation(&format!("user{number}@kopru.test"), "content_manager");
        json_of(served.post(USERS, &admin, &body).await, StatusCode::CREATED).await;
    }
    let list = async |query: &str| json_of(served.get(&format!("{USERS}?{query}"), &admin).await, StatusCode::OK).await;
    let page = list("role=content_manager&limit=3").await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(3));
    let cursor = page["nextCursor"].as_str().expect("there is more").to_owned();
    let rest = list(&format!("role=content_manager&limit=3&cursor={cursor}")).await;
    assert_eq!((rest["items"].as_array().map(Vec::len), &rest["nextCursor"]), (Some(2), &Value::Null));
    assert_eq!(list("search=USER3").await["items"].as_array().map(Vec::len), Some(1));
    served.hub.execute("update identity.app_user set full_name = 'İnci Çağlar' where email = 'user4@kopru.test'").await;
    for folded in ["search=inci%20caglar", "search=%C4%B0NC%C4%B0", "search=%C3%87a%C4%9Flar"] {
        assert_eq!(list(folded).await["items"].as_array().map(Vec::len), Some(1), "{folded}");
    }
    for odd in ["search=%25", "search=_ser", "search=%27%20or%201=1", "search=%00", "state=disabled"] {
        assert_eq!(list(odd).await["items"], json!([]), "{odd}");
    }
    for bad in ["role=x", "state=x", "companyId=x", "limit=0", "cursor=x"] {
        problem_of(served.get(&format!("{USERS}?{bad}"), &admin).await, 400, "invalid").await;
    }
}

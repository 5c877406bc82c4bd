//! Companies that register, and what the house decides about them.

use chrono::TimeDelta;
use futures::future::join_all;
use kopru::{mail::MailKind, principal::Role};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    event_schemas::events_are_as_described,
    people::{self, PASSWORD},
    served::{Served, json_of, problem_of},
};

const REGISTER: &str = "/api/v1/auth/register";
const VKN: &str = "1234567890";

fn company(email: &str) -> Value {
    json!({
        "email": email, "password": PASSWORD, "fullName": "Ayşe Öz", "phone": "0532 555 01 87",
        "companyTitle": "Öz Bilişim Ltd. Şti.", "taxNumber": VKN, "taxOffice": "Kadıköy",
    })
}

async fn register(served: &Served, body: &Value) {
    let answer = json_of(served.post(REGISTER, "", body).await, StatusCode::ACCEPTED).await;
    assert_eq!(answer, json!({ "status": "received" }));
}

async fn verify(served: &Served) {
    let (mail, token) = served.mails().await.pop().expect("a mail");
    assert_eq!(mail.kind, MailKind::Verification);
    let answer = served.post("/api/v1/auth/verify-email", "", &json!({ "token": token })).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let again = served.post("/api/v1/auth/verify-email", "", &json!({ "token": token })).await;
    problem_of(again, 400, "link_invalid").await;
}

async fn sign_in(served: &Served, email: &str) -> reqwest::Response {
    served.post("/api/v1/auth/login", "", &json!({ "email": email, "password": PASSWORD })).await
}

async fn waiting(served: &Served, token: &str) -> Value {
    let list = json_of(served.get("/api/v1/registrations?state=pending", token).await, StatusCode::OK).await;
    list["items"][0].clone()
}

async fn approve(served: &Served, token: &str, id: &Value, body: &Value) -> reqwest::Response {
    served.post(&format!("/api/v1/registrations/{id}/approve"), token, body).await
}

#[tokio::test]
async fn a_company_registers_verifies_waits_and_is_approved_as_a_new_one() {
    let served = Served::new().await;
    let admin = served.token(Role::SalesManager, None).await;
    register(&served, &company("ayse@oz.com.tr")).await;
    // Nothing is told before the address is verified, not even that it waits.
    problem_of(sign_in(&served, "ayse@oz.com.tr").await, 401, "credentials_wrong").await;
    verify(&served).await;
    problem_of(sign_in(&served, "ayse@oz.com.tr").await, 403, "account_pending").await;

    let found = waiting(&served, &admin).await;
    assert_eq!((&found["emailVerified"], &found["matches"]), (&json!(true), &json!([])));
    assert_eq!((&found["phone"], &found["taxNumber"]), (&json!("+905325550187"), &json!(VKN)));
    for (body, field) in [
        (json!({ "decision": "maybe" }), "decision"),
        (json!({ "decision": "join" }), "customerId"),
        (json!({ "decision": "new", "customerId": 1 }), "customerId"),
        (json!({ "decision": "join", "customerId": 4711 }), "customerId"),
        (json!({ "decision": "new", "role": "super_admin" }), "role"),
        (json!({ "decision": "new", "code": "x".repeat(101) }), "code"),
    ] {
        let problem = problem_of(approve(&served, &admin, &found["id"], &body).await, 400, "invalid").await;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let approved = approve(&served, &admin, &found["id"], &json!({ "decision": "new", "code": "120.34.001" })).await;
    let approved = json_of(approved, StatusCode::OK).await;
    assert_eq!(approved["userState"], "active");
    let me = json_of(sign_in(&served, "ayse@oz.com.tr").await, StatusCode::OK).await;
    let me =
        json_of(served.get("/api/v1/me", me["accessToken"].as_str().expect("a token")).await, StatusCode::OK).await;
    assert_eq!((&me["role"], &me["companyId"]), (&json!("dealer_owner"), &approved["customerId"]));
    assert_eq!((&me["companyCode"], &me["companyTitle"]), (&json!("120.34.001"), &json!("Öz Bilişim Ltd. Şti.")));
    let house = json_of(served.get("/api/v1/me", &admin).await, StatusCode::OK).await;
    assert_eq!((&house["companyCode"], &house["companyTitle"]), (&Value::Null, &Value::Null));
    // They are told, with the way in.
    let (mail, token) = served.mails().await.pop().expect("a mail");
    assert_eq!((mail.kind, mail.to.as_str(), mail.reason), (MailKind::RegistrationApproved, "ayse@oz.com.tr", None));
    assert_eq!(token, "", "its link has no secret");
    let customer =
        served.hub.row("select code, title, tax_number, tax_number_valid, is_approved from commerce.customer").await;
    assert_eq!(customer["code"], "120.34.001");
    assert_eq!((&customer["tax_number_valid"], &customer["is_approved"]), (&json!(true), &json!(true)));
    events_are_as_described(served.pool()).await;
    let event = served.hub.row("select type, aggregate, aggregate_id, payload from hub.outbox_event").await;
    assert_eq!((&event["type"], &event["aggregate_id"]), (&json!("customer.registered"), &approved["customerId"]));
    assert_eq!(
        event["payload"],
        json!({ "customerId": approved["customerId"], "code": "120.34.001", "joined": false })
    );
    // Decided is decided.
    let again = approve(&served, &admin, &found["id"], &json!({ "decision": "new" })).await;
    problem_of(again, 409, "registration_decided").await;
    let reject = served.post(&format!("/api/v1/registrations/{}/reject", found["id"]), &admin, &json!({})).await;
    problem_of(reject, 409, "registration_decided").await;
    assert_eq!(served.hub.count("identity.registration where password_hash is not null").await, 0);
}

#[tokio::test]
async fn a_known_tax_number_joins_nobody_by_itself() {
    let served = Served::new().await;
    let admin = served.token(Role::SuperAdmin, None).await;
    let known = people::company(served.pool(), "120.01.001").await;
    let other = people::company(served.pool(), "120.01.002").await;
    served
        .hub
        .execute(&format!(
            "update commerce.customer set tax_number = '{VKN}', tax_number_valid = true where id = {known}"
        ))
        .await;
    register(&served, &company("stranger@oz.com.tr")).await;
    verify(&served).await;
    assert_eq!(served.hub.count("identity.app_user where company_id is not null").await, 0);
    let found = waiting(&served, &admin).await;
    assert_eq!(
        found["matches"],
        json!([{ "customerId": known, "code": "120.01.001", "title": "Firma 120.01.001", "isActive": true }])
    );
    // Only a company with this tax number is joined.
    let wrong = approve(&served, &admin, &found["id"], &json!({ "decision": "join", "customerId": other })).await;
    assert_eq!(problem_of(wrong, 400, "invalid").await["errors"][0]["code"], "no_match");
    let joined = approve(&served, &admin, &found["id"], &json!({ "decision": "join", "customerId": known })).await;
    let joined = json_of(joined, StatusCode::OK).await;
    assert_eq!(joined["customerId"], known);
    let user = served.hub.row("select role, company_id from identity.app_user where company_id is not null").await;
    assert_eq!(user, json!({ "role": "dealer_viewer", "company_id": known }));
    assert_eq!(served.hub.count("commerce.customer").await, 2);

    // Another company with the same number is a company of its own when somebody says so.
    register(&served, &company("second@oz.com.tr")).await;
    let found = waiting(&served, &admin).await;
    let new =
        json_of(approve(&served, &admin, &found["id"], &json!({ "decision": "new" })).await, StatusCode::OK).await;
    assert_ne!(new["customerId"], known);
}

/// A dealer that was barred comes again by another address: who decides is to see it.
#[tokio::test]
async fn a_barred_dealer_with_the_same_tax_number_is_shown_and_not_joined() {
    let served = Served::new().await;
    let admin = served.token(Role::SuperAdmin, None).await;
    let barred = people::company(served.pool(), "120.01.001").await;
    served
        .hub
        .execute(&format!(
            "update commerce.customer set tax_number = '{VKN}', tax_number_valid = true, is_active = false"
        ))
        .await;
    register(&served, &company("again@oz.com.tr")).await;
    let found = waiting(&served, &admin).await;
    assert_eq!(
        (&found["matches"][0]["customerId"], &found["matches"][0]["isActive"]),
        (&json!(barred), &json!(false)),
        "{found}"
    );
    let joined = approve(&served, &admin, &found["id"], &json!({ "decision": "join", "customerId": barred })).await;
    assert_eq!(problem_of(joined, 400, "invalid").await["errors"][0]["code"], "no_match");
}

/// An address that is not verified may be a stranger's: it gets no words of ours, and no mail for each request.
#[tokio::test]
async fn a_stranger_is_mailed_once_a_minute_and_nothing_that_was_typed() {
    let served = Served::new().await;
    for name in ["Buy at example.com", "Again"] {
        let mut body = company("victim@oz.com.tr");
        body["fullName"] = json!(name);
        register(&served, &body).await;
    }
    let mails = served.mails().await;
    assert_eq!(mails.iter().map(|(mail, _)| mail.full_name.as_str()).collect::<Vec<_>>(), [""]);
    let kept = served.hub.row("select full_name from identity.registration").await;
    assert_eq!(kept["full_name"], "Again");
    served.clock.advance(TimeDelta::seconds(61));
    register(&served, &company("victim@oz.com.tr")).await;
    assert_eq!(served.mails().await.len(), 2);
}

#[tokio::test]
async fn who_never_opened_the_mail_is_invited_on_approval() {
    let served = Served::new().await;
    let admin = served.token(Role::SuperAdmin, None).await;
    register(&served, &company("ayse@oz.com.tr")).await;
    let found = waiting(&served, &admin).await;
    assert_eq!(found["emailVerified"], false);
    let approved = approve(&served, &admin, &found["id"], &json!({ "decision": "new" })).await;
    assert_eq!(json_of(approved, StatusCode::OK).await["userState"], "invited");
    // The password that came with the registration is nobody's.
    problem_of(sign_in(&served, "ayse@oz.com.tr").await, 401, "credentials_wrong").await;
    let (mail, token) = served.mails().await.pop().expect("a mail");
    assert_eq!(mail.kind, MailKind::Invitation);
    let chosen =
        served.post("/api/v1/auth/password/reset", "", &json!({ "token": token, "password": "Baska-2026" })).await;
    assert_eq!(chosen.status(), StatusCode::NO_CONTENT);
    problem_of(sign_in(&served, "ayse@oz.com.tr").await, 401, "credentials_wrong").await;
    let body = json!({ "email": "ayse@oz.com.tr", "password": "Baska-2026" });
    json_of(served.post("/api/v1/auth/login", "", &body).await, StatusCode::OK).await;
}

#[tokio::test]
async fn a_registration_tells_nothing_about_addresses_and_takes_nothing_over() {
    let served = Served::new().await;
    people::with_password(served.pool(), &served.clock, Role::SuperAdmin, None, "admin@kopru.test").await;
    register(&served, &company("ADMIN@kopru.test")).await;
    assert_eq!(served.hub.count("identity.registration").await, 0);
    json_of(sign_in(&served, "admin@kopru.test").await, StatusCode::OK).await;

    // Somebody registers an address that another one has registered and not verified: neither password is good then.
    register(&served, &company("ayse@oz.com.tr")).await;
    let mut second = company("ayse@oz.com.tr");
    second["password"] = json!("Yabanci-2026");
    register(&served, &second).await;
    verify(&served).await;
    assert_eq!(served.hub.count("identity.registration").await, 1);
    problem_of(sign_in(&served, "ayse@oz.com.tr").await, 401, "credentials_wrong").await;
    let body = json!({ "email": "ayse@oz.com.tr", "password": "Yabanci-2026" });
    problem_of(served.post("/api/v1/auth/login", "", &body).await, 401, "credentials_wrong").await;
    // Verified, it is nobody's to take.
    let mut third = company("ayse@oz.com.tr");
    third["companyTitle"] = json!("Başkası A.Ş.");
    register(&served, &third).await;
    let kept = served.hub.row("select company_title from identity.registration").await;
    assert_eq!(kept["company_title"], "Öz Bilişim Ltd. Şti.");
}

#[tokio::test]
async fn what_cannot_be_registered_says_which_field_and_why() {
    let served = Served::new().await;
    let long = "x".repeat(10_000);
    for (field, value, code) in [
        ("email", json!("no address"), "format"),
        ("email", json!("çelik@firma.com"), "format"),
        ("password", json!("short"), "too_short"),
        ("password", json!(long), "too_long"),
        ("taxNumber", json!("1234567891"), "checksum"),
        ("taxNumber", json!("10000000147"), "checksum"),
        ("taxNumber", json!("' or 1=1 --"), "checksum"),
        ("companyTitle", json!(" "), "length"),
        ("companyTitle", json!(long), "length"),
        ("companyTitle", json!("a\u{0}b"), "length"),
        ("fullName", json!(""), "length"),
        ("fullName", json!("a\nb"), "length"),
        ("phone", json!("yok"), "format"),
        ("taxOffice", json!(long), "length"),
        ("locale", json!("de"), "unknown_value"),
    ] {
        let mut body = company("ayse@oz.com.tr");
        body[field] = value;
        let problem = problem_of(served.post(REGISTER, "", &body).await, 400, "invalid").await;
        assert_eq!(
            (&problem["errors"][0]["field"], &problem["errors"][0]["code"]),
            (&json!(field), &json!(code)),
            "{problem}"
        );
    }
    problem_of(served.post(REGISTER, "", &json!({ "email": "a@b.de" })).await, 400, "bad_request").await;
    // A person, and text of every kind.
    let mut body = company("kişi@oz.com.tr");
    body["email"] = json!("kisi@oz.com.tr");
    body["taxNumber"] = json!("10000000146");
    body["companyTitle"] = json!("<script>alert('x')</script> \u{1F4A1} '; drop table identity.registration; --");
    body["fullName"] = json!("İnci Çağlar-Öz 李");
    register(&served, &body).await;
    let kept = served.hub.row("select company_title, full_name from identity.registration").await;
    assert_eq!(kept["company_title"], body["companyTitle"]);
    assert_eq!(kept["full_name"], body["fullName"]);
}

#[tokio::test]
async fn of_eight_approvals_at_once_one_makes_the_customer() {
    let served = Served::new().await;
    let admin = served.token(Role::SuperAdmin, None).await;
    register(&served, &company("ayse@oz.com.tr")).await;
    let found = waiting(&served, &admin).await;
    let body = json!({ "decision": "new" });
    let answers = join_all((0..8).map(|_| approve(&served, &admin, &found["id"], &body))).await;
    let good = answers.iter().filter(|answer| answer.status() == StatusCode::OK).count();
    let late = answers.iter().filter(|answer| answer.status() == StatusCode::CONFLICT).count();
    assert_eq!((good, late), (1, 7));
    assert_eq!(served.hub.count("commerce.customer").await, 1);
}

#[tokio::test]
async fn deciding_takes_the_permission_and_a_rejected_one_is_forgotten() {
    let served = Served::new().await;
    let company_id = people::company(served.pool(), "120.01.001").await;
    register(&served, &company("ayse@oz.com.tr")).await;
    verify(&served).await;
    for role in Role::ALL.into_iter().filter(|role| !matches!(role, Role::SuperAdmin | Role::SalesManager)) {
        let token = served.token(role, role.is_dealer().then_some(company_id)).await;
        for path in ["/api/v1/registrations", "/api/v1/registrations/1"] {
            problem_of(served.get(path, &token).await, 403, "permission_missing").await;
        }
        for (path, body) in [
            ("/api/v1/registrations/1/approve", json!({ "decision": "new" })),
            ("/api/v1/registrations/1/reject", json!({})),
        ] {
            problem_of(served.post(path, &token, &body).await, 403, "permission_missing").await;
        }
    }
    let admin = served.token(Role::SalesManager, None).await;
    for id in ["4711", "x", "99999999999999999999"] {
        problem_of(served.get(&format!("/api/v1/registrations/{id}"), &admin).await, 404, "not_found").await;
    }
    let found = waiting(&served, &admin).await;
    let path = format!("/api/v1/registrations/{}/reject", found["id"]);
    let rejected = json_of(served.post(&path, &admin, &json!({ "reason": "no dealer" })).await, StatusCode::OK).await;
    assert_eq!((&rejected["state"], &rejected["reason"]), (&json!("rejected"), &json!("no dealer")));
    let (mail, _) = served.mails().await.pop().expect("a mail");
    assert_eq!((mail.kind, mail.reason.as_deref()), (MailKind::RegistrationRejected, Some("no dealer")));
    problem_of(sign_in(&served, "ayse@oz.com.tr").await, 401, "credentials_wrong").await;
    assert_eq!(served.hub.count("identity.app_user where email = 'ayse@oz.com.tr'").await, 0);
    // They may try again.
    register(&served, &company("ayse@oz.com.tr")).await;
    let found = waiting(&served, &admin).await;
    assert_eq!(found["state"], "pending");
    // Nobody showed that the address is theirs: whose it is hears nothing of a decision.
    let before = served.mails().await.len();
    let path = format!("/api/v1/registrations/{}/reject", found["id"]);
    json_of(served.post(&path, &admin, &json!({ "reason": "x" })).await, StatusCode::OK).await;
    assert_eq!(served.mails().await.len(), before);
}

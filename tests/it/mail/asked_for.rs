//! What a request of a mail leaves in the store.

use chrono::{DateTime, Utc};
use kopru::{
    mail::{self, Locale, Mail, MailKind, Stored},
    seal::Sealer,
};
use serde_json::Value;
use uuid::Uuid;

use crate::support::database::TestDatabase;

fn invitation(token: &str) -> Mail<'_> {
    Mail {
        kind: MailKind::Invitation,
        to: "ayse@bayi.example",
        full_name: "Ayşe Öz",
        locale: Locale::Tr,
        token: Some(token),
        reason: None,
        expires_at: DateTime::<Utc>::MAX_UTC,
        origin: "user:1",
        correlation_id: "test",
    }
}

#[tokio::test]
async fn a_mail_is_there_with_its_cause_or_not_at_all() {
    let db = TestDatabase::new().await;
    let sealer = Sealer::random().expect("a key");
    let mut tx = db.pool.begin().await.expect("begin");
    mail::request(&mut tx, &sealer, &invitation("never")).await.expect("asked for");
    tx.rollback().await.expect("rolled back");
    let mut tx = db.pool.begin().await.expect("begin");
    let id = mail::request(&mut tx, &sealer, &invitation("sent")).await.expect("asked for");
    tx.commit().await.expect("committed");
    let rows: Vec<(Uuid, String, String)> =
        sqlx::query_as("select id, target, state from hub.delivery").fetch_all(&db.pool).await.expect("rows");
    assert_eq!(rows, [(id, mail::TARGET.to_owned(), "received".to_owned())]);
}

#[tokio::test]
async fn the_secret_of_a_link_is_nowhere_in_the_clear_and_opens_in_its_own_mail_only() {
    let db = TestDatabase::new().await;
    let sealer = Sealer::random().expect("a key");
    let mut db_connection = db.pool.acquire().await.expect("a connection");
    let secret = "the-secret-of-the-link";
    assert!(!format!("{:?}", invitation(secret)).contains(secret));
    let id = mail::request(&mut db_connection, &sealer, &invitation(secret)).await.expect("asked for");
    let row: String =
        sqlx::query_scalar("select d::text from hub.delivery d").fetch_one(&db.pool).await.expect("the row");
    assert!(!row.contains(secret), "{row}");
    let payload: Value =
        sqlx::query_scalar("select payload from hub.delivery").fetch_one(&db.pool).await.expect("the payload");
    let stored: Stored = serde_json::from_value(payload).expect("a stored mail");
    assert_eq!(stored.token(&sealer, id).expect("opens"), secret);
    assert!(stored.token(&sealer, Uuid::nil()).is_err());
    assert!(stored.token(&Sealer::random().expect("a key"), id).is_err());
}

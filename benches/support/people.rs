//! Who asks a measured hub: users of dealers, signed in.

use std::{error::Error, path::Path};

use kopru::{
    audit::Actor,
    clock::Clock,
    identity::{
        email::Email,
        people::{People, Visit},
        tokens::KeySource,
        users::{self, Locale, NewUser, UserState},
    },
    principal::Role,
};
use sqlx::PgPool;

/// An access token of one user of each dealer. Dealers have the codes `120.1` to `120.{dealers}`; `dir` is the hub's data
/// directory.
pub async fn tokens(pool: &PgPool, dir: &Path, dealers: i64) -> Result<Vec<String>, Box<dyn Error>> {
    let clock = Clock::system();
    let keys = KeySource::OwnFile(dir.join("signing-key.pem"));
    let people = People::new(pool.clone(), clock.clone(), keys, None);
    let by = Actor { name: "cli:bench", correlation_id: "bench" };
    let mut tokens = Vec::new();
    for dealer in 1..=dealers {
        let company: i64 = sqlx::query_scalar("select id from commerce.customer where code = $1")
            .bind(format!("120.{dealer}"))
            .fetch_one(pool)
            .await?;
        let new = NewUser {
            email: Email::parse(&format!("bayi{dealer}@example.com")).ok_or("no address")?,
            full_name: format!("Bayi {dealer}"),
            phone: None,
            role: Role::DealerOwner,
            company_id: Some(company),
            locale: Locale::Tr,
            state: UserState::Active,
            password_hash: Some("none".to_owned()),
        };
        let mut tx = pool.begin().await?;
        let user = users::create(&mut tx, by.into(), &new, clock.now()).await?;
        tx.commit().await?;
        let visit = Visit { address: [127, 0, 0, 1].into(), agent: None, correlation_id: "bench".to_owned() };
        tokens.push(people.open_session(user.id, &visit).await?.access);
    }
    Ok(tokens)
}

//! Who asks a measured hub: users of dealers, signed in.

use std::{error::Error, path::Path};

use kopru::{
    audit::Actor,
    clock::Clock,
    identity::{
        email::Email,
        people::{People, Tokens, Visit},
        tokens::KeySource,
        users::{self, Locale, NewUser, UserState},
    },
    principal::Role,
};
use sqlx::PgPool;

/// `count` people who are signed in, each with a session of their own, as users of the dealers in turn. Dealers have the codes `120.1` to `120.{dealers}`; `dir` is the hub's data
/// directory.
pub async fn sessions(pool: &PgPool, dir: &Path, dealers: i64, count: usize) -> Result<Vec<Tokens>, Box<dyn Error>> {
    let clock = Clock::system();
    let keys = KeySource::OwnFile(dir.join("signing-key.pem"));
    let people = People::new(pool.clone(), clock.clone(), keys, None);
    let by = Actor::new("cli:bench", "bench");
    let mut users = Vec::new();
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
        let mut tx = kopru::transaction::begin(pool).await?;
        let user = users::create(&mut tx, by, &new, clock.now()).await?;
        tx.commit().await?;
        users.push(user.id);
    }
    let mut sessions = Vec::with_capacity(count);
    for number in 0..count {
        let visit = Visit { address: [127, 0, 0, 1].into(), agent: None, correlation_id: "bench".to_owned() };
        sessions.push(people.open_session(users[number % users.len()], &visit).await?);
    }
    Ok(sessions)
}

//! People made directly in the store, and the tokens that they would hold.

use std::sync::{
    LazyLock,
    atomic::{AtomicU32, Ordering},
};

use kopru::{
    audit::Actor,
    clock::Clock,
    identity::{
        email::Email,
        passwords::Password,
        people::{People, Visit},
        tokens::KeySource,
        users::{self, Locale, NewUser, User, UserState},
    },
    principal::{Principal, Role},
    seal::Sealer,
};
use sqlx::PgPool;

/// The password of everybody made by [`with_password`].
pub const PASSWORD: &str = "Kopru-2026";

static COUNTER: AtomicU32 = AtomicU32::new(1);

/// The master key of the tests: keys in the store are sealed with it.
static SEALER: LazyLock<Sealer> = LazyLock::new(|| Sealer::random().expect("a key"));

pub fn sealer() -> Sealer {
    SEALER.clone()
}

/// The people of this database, known by the keys in the store, as the servers of the tests know them.
pub fn people(pool: &PgPool, clock: &Clock) -> People {
    People::new(pool.clone(), clock.clone(), KeySource::Store, Some(sealer()))
}

pub fn by() -> Actor<'static> {
    Actor::new("cli:test", "test")
}

pub fn visit() -> Visit {
    Visit { address: [127, 0, 0, 1].into(), agent: Some("the tests".to_owned()), correlation_id: "test".to_owned() }
}

/// Somebody who can sign in with [`PASSWORD`].
pub async fn with_password(pool: &PgPool, clock: &Clock, role: Role, company: Option<i64>, email: &str) -> User {
    let hash = people(pool, clock).passwords().hash(&Password::new(PASSWORD)).await.expect("a hash");
    create(pool, clock, role, company, email, hash).await
}

/// Somebody whom no password lets in: hashing one takes the time of a test.
pub async fn without_password(pool: &PgPool, clock: &Clock, role: Role, email: &str) -> i64 {
    create(pool, clock, role, None, email, "none".to_owned()).await.id
}

async fn create(pool: &PgPool, clock: &Clock, role: Role, company: Option<i64>, email: &str, hash: String) -> User {
    let new = NewUser {
        email: Email::parse(email).expect("an address"),
        full_name: format!("Test {}", role.as_str()),
        phone: None,
        role,
        company_id: company,
        locale: Locale::Tr,
        state: UserState::Active,
        password_hash: Some(hash),
    };
    let mut tx = pool.begin().await.expect("a transaction");
    let user = users::create(&mut tx, by(), &new, clock.now()).await.expect("a user");
    tx.commit().await.expect("committed");
    user
}

/// A new user of this role, signed in: who that is, and the access token.
pub async fn signed_in(pool: &PgPool, clock: &Clock, role: Role, company: Option<i64>) -> (Principal, String) {
    let email = format!("{}-{}@test.kopru", role.as_str(), COUNTER.fetch_add(1, Ordering::Relaxed));
    // Nobody signs in with a password here: hashing one for each user of each test would take the time of the tests.
    let user = create(pool, clock, role, company, &email, "none".to_owned()).await;
    let tokens = people(pool, clock).open_session(user.id, &visit()).await.expect("a session");
    (Principal::user(user.id, role, company), tokens.access)
}

/// A dealer company, approved.
pub async fn company(pool: &PgPool, code: &str) -> i64 {
    sqlx::query_scalar(
        "insert into commerce.customer (created_at, updated_at, is_approved, code, title, created_by, updated_by)
         values (clock_timestamp(), clock_timestamp(), true, $1, 'Firma ' || $1, 'test', 'test') returning id",
    )
    .bind(code)
    .fetch_one(pool)
    .await
    .expect("a company")
}

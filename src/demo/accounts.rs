//! The people of a demo: one for each role, and the owner of a second dealer company. Made once for a data directory, found
//! again in its `demo.json`.

use std::{fs, path::Path};

use rand::RngExt;
use serde_json::{Value, json};

use super::DESCRIPTION_FILE;
use crate::{
    app::{App, AppError},
    audit::Actor,
    commerce::{
        CommandError, WriteContext,
        customers::{self, NewCompany, RegisterError},
    },
    identity::{
        email::Email,
        passwords::{Password, PasswordError},
        people::{SignIn, SignInError, Visit},
        users::{self, Locale, NewUser, UserError, UserState},
    },
    outbox::Provenance,
    principal::Role,
    transaction,
};

/// Code, title and tax number of each company. Nobody's: the numbers have good checksums and were never given out.
const COMPANIES: [(&str, &str, &str); 2] =
    [("DEMO.001", "Deneme Bilişim Ltd. Şti.", "1111111114"), ("DEMO.002", "Örnek Güvenlik A.Ş.", "2222222224")];

#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Company(#[from] RegisterError),
    #[error(transparent)]
    SignIn(#[from] SignInError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

struct Account {
    email: String,
    name: String,
    role: Role,
    /// Of [`COMPANIES`].
    company: Option<usize>,
}

fn accounts() -> Vec<Account> {
    let of = |role: Role, company: Option<usize>, place: &str| Account {
        email: format!("{}@{place}.example", role.as_str().replace('_', "-")),
        name: format!("Demo {}", role.as_str().replace('_', " ")),
        role,
        company,
    };
    let mut all: Vec<Account> = Role::ALL
        .into_iter()
        .map(|role| if role.is_dealer() { of(role, Some(0), "bayi") } else { of(role, None, "kopru") })
        .collect();
    all.push(of(Role::DealerOwner, Some(1), "ikinci-bayi"));
    all
}

/// The accounts, as `demo.json` lists them. A password that `demo.json` names and that is good still stays.
pub async fn accounts_of(app: &App, dir: &Path) -> Result<Value, AccountError> {
    let people = app.people()?;
    let written = written(dir);
    let mut companies = Vec::new();
    for (code, title, tax_number) in COMPANIES {
        companies.push(company(app, code, title, tax_number).await?);
    }
    let mut listed = Vec::new();
    for account in accounts() {
        let visit =
            Visit { address: [127, 0, 0, 1].into(), agent: Some("demo".to_owned()), correlation_id: "demo".to_owned() };
        let known = written
            .iter()
            .find(|known| known["email"] == account.email)
            .and_then(|known| Some(known.get("password")?.as_str()?.to_owned()));
        let good = match &known {
            Some(password) => {
                let ask = SignIn {
                    email: account.email.clone(),
                    password: Password::new(password.as_str()),
                    device: Some("demo".to_owned()),
                };
                match people.sign_in(ask, &visit).await {
                    Ok(tokens) => {
                        people.sign_out(Some((tokens.user_id, tokens.session)), None, &visit).await?;
                        true
                    }
                    Err(SignInError::Database(error)) => return Err(error.into()),
                    Err(_) => false,
                }
            }
            None => false,
        };
        let password = match known.filter(|_| good) {
            Some(password) => password,
            None => {
                let password = fresh_password();
                let hash = people.passwords().hash(&Password::new(password.as_str())).await?;
                set(app, &account, account.company.map(|place| companies[place]), hash).await?;
                password
            }
        };
        listed.push(json!({
            "email": account.email,
            "password": password,
            "role": account.role.as_str(),
            "company": account.company.map(|place| COMPANIES[place].0),
        }));
    }
    Ok(Value::Array(listed))
}

/// The first company of the demo.
pub(super) async fn first_company(app: &App) -> Result<i64, AccountError> {
    let (code, title, tax_number) = COMPANIES[0];
    company(app, code, title, tax_number).await
}

async fn company(app: &App, code: &str, title: &str, tax_number: &str) -> Result<i64, AccountError> {
    let mut tx = transaction::begin(&app.database.pool).await?;
    if let Some((_, id)) = customers::ids_by_code(&mut tx, &[code]).await?.first() {
        return Ok(*id);
    }
    // By the code that LOGO gave its card meanwhile.
    if let Some(known) = customers::by_tax_number(&mut *tx, &[tax_number.to_owned()]).await?.first() {
        return Ok(known.id);
    }
    let by = Provenance { origin: "hub", bulk: true, correlation_id: "demo", place: None, now: app.clock.now() };
    let new = NewCompany {
        code: Some(code),
        title,
        tax_number,
        tax_office: None,
        contact: "Demo",
        email: "demo@bayi.example",
        phone: None,
    };
    let id = customers::register(&mut tx, &WriteContext::person(by), &new).await?;
    tx.commit().await.map_err(|error| RegisterError::Command(CommandError::Database(error)))?;
    Ok(id)
}

async fn set(app: &App, account: &Account, company_id: Option<i64>, hash: String) -> Result<(), AccountError> {
    let email = Email::parse(&account.email).ok_or_else(|| sqlx::Error::Decode("no address".into()))?;
    let now = app.clock.now();
    let mut tx = transaction::begin(&app.database.pool).await?;
    match users::find_by_email(&mut *tx, &email).await? {
        Some(user) => {
            users::set_password(&mut tx, user.id, &hash, "hub", now).await?;
        }
        None => {
            let new = NewUser {
                email,
                full_name: account.name.clone(),
                phone: None,
                role: account.role,
                company_id,
                locale: Locale::Tr,
                state: UserState::Active,
                password_hash: Some(hash),
            };
            users::create(&mut tx, Actor::new("hub", "demo"), &new, now).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Good by our own rules.
fn fresh_password() -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut random = rand::rng();
    let body: String = (0..16).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect();
    format!("Kp7-{body}")
}

fn written(dir: &Path) -> Vec<Value> {
    let read = || {
        let text = fs::read_to_string(dir.join(DESCRIPTION_FILE)).ok()?;
        let description: Value = serde_json::from_str(&text).ok()?;
        Some(description.get("accounts")?.as_array()?.clone())
    };
    read().unwrap_or_default()
}

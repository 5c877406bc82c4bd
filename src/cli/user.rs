//! `kopru user …`: people who sign in.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{actor::actor, failure::Failure, output, password, run::Global};
use crate::{
    app::App,
    audit::{self, Actor, Entry},
    commerce::customers,
    identity::{
        email::Email,
        links::{self, Holder},
        users::{self, Filter, Locale, NewUser, User, UserChange, UserError, UserState},
    },
    mail::{self, MailKind},
    page::PageRequest,
    principal::{Role, Scope},
    transaction,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a user who can sign in at once; the password is typed, or read from standard input
    Create(CreateArgs),
    /// List users, in the order in which they came
    List(ListArgs),
    /// Let a user in no more; every session ends within 5 seconds
    Disable { email: String },
    /// Let a disabled user in again
    Enable { email: String },
    /// Print a link, once, by which a user chooses a password
    ResetLink { email: String },
    /// Make a new key that signs the access tokens; those of the one before are good to their end
    RotateKeys {
        /// Soon after another rotation, too: access tokens that are older than that one end
        #[arg(long)]
        at_once: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Of which account it is the name
    #[arg(long)]
    email: String,
    /// dealer_owner, dealer_purchasing, dealer_finance, dealer_viewer, super_admin, sales_manager, finance_manager,
    /// customer_service or content_manager
    #[arg(long, value_parser = role)]
    role: Role,
    /// The code of the dealer company, for a dealer's role
    #[arg(long, value_name = "CODE")]
    company: Option<String>,
    /// [default: what stands before the @]
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    phone: Option<String>,
    /// Of mails: tr or en
    #[arg(long, default_value = "tr", value_parser = locale)]
    locale: Locale,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// invited, active or disabled
    #[arg(long, value_parser = state)]
    state: Option<UserState>,
    /// The code of a dealer company
    #[arg(long, value_name = "CODE")]
    company: Option<String>,
    /// A part of the name or of the address
    #[arg(long)]
    search: Option<String>,
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100))]
    limit: i64,
    /// `nextCursor` of the page before
    #[arg(long)]
    cursor: Option<String>,
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| format!("known are {}", Role::ALL.map(Role::as_str).join(", ")))
}

fn state(text: &str) -> Result<UserState, String> {
    UserState::parse(text).ok_or_else(|| "known are invited, active, disabled".to_owned())
}

fn locale(text: &str) -> Result<Locale, String> {
    Locale::parse(text).ok_or_else(|| "known are tr, en".to_owned())
}

fn email(text: &str) -> Result<Email, Failure> {
    let wrong = || Failure::Usage(format!("`{text}` is no e-mail address that can be taken (ASCII letters only)"));
    Email::parse(text).ok_or_else(wrong)
}

pub(super) async fn user(global: &Global, command: Command) -> Result<(), Failure> {
    let app = global.open().await?;
    let outcome = work(global, &app, command).await;
    App::close(app).await;
    outcome
}

async fn work(global: &Global, app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(args) => create(global, app, args).await,
        Command::List(args) => list(global, app, args).await,
        Command::Disable { email } => set_active(global, app, &email, false).await,
        Command::Enable { email } => set_active(global, app, &email, true).await,
        Command::ResetLink { email } => reset_link(global, app, &email).await,
        Command::RotateKeys { at_once } => rotate_keys(global, app, at_once).await,
    }
}

async fn create(global: &Global, app: &App, args: CreateArgs) -> Result<(), Failure> {
    let email = email(&args.email)?;
    let password = password::ask().await?;
    password.check(&email).map_err(UserError::from)?;
    let company_id = match &args.company {
        Some(code) => Some(company(app, code).await?),
        None => None,
    };
    let hash = app.people()?.passwords().hash(&password).await.map_err(|error| Failure::Failed(error.to_string()))?;
    let before_at = email.as_str().split('@').next().unwrap_or_default().to_owned();
    let new = NewUser {
        full_name: args.name.unwrap_or(before_at),
        email,
        phone: args.phone,
        role: args.role,
        company_id,
        locale: args.locale,
        state: UserState::Active,
        password_hash: Some(hash),
    };
    let actor = actor();
    let mut tx = transaction::begin(&app.database.pool).await?;
    let made = users::create(&mut tx, by(&actor), &new, app.clock.now()).await?;
    tx.commit().await?;
    match global.json {
        true => output::print_json(&shown(&made)),
        false => output::print(&format!("{} ({}) can sign in", made.email, made.role.as_str())),
    }
}

async fn list(global: &Global, app: &App, args: ListArgs) -> Result<(), Failure> {
    let company_id = match &args.company {
        Some(code) => Some(company(app, code).await?),
        None => None,
    };
    let filter = Filter { role: args.role, state: args.state, company_id, search: args.search };
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
    let page = PageRequest::new(Some(args.limit), args.cursor).map_err(|error| usage(&error))?;
    let found = match users::list(&app.database.pool, Scope::house(), &filter, &page).await {
        Ok(found) => found,
        Err(crate::identity::sessions::ListError::Page(bad)) => return Err(usage(&bad)),
        Err(crate::identity::sessions::ListError::Database(error)) => return Err(error.into()),
    };
    if global.json {
        let items: Vec<Value> = found.items.iter().map(shown).collect();
        return output::print_json(&json!({ "items": items, "nextCursor": found.next_cursor }));
    }
    if found.items.is_empty() {
        return output::print("no users; `kopru user create` makes one");
    }
    let time = |at: Option<DateTime<Utc>>| at.map_or_else(|| "-".to_owned(), |at| at.format("%F %T").to_string());
    let row = |user: &User| {
        vec![
            user.id.to_string(),
            user.email.clone(),
            user.full_name.clone(),
            user.role.as_str().to_owned(),
            user.company_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            user.state.as_str().to_owned(),
            time(user.last_sign_in_at),
        ]
    };
    let rows: Vec<Vec<String>> = found.items.iter().map(row).collect();
    let header = ["ID", "EMAIL", "NAME", "ROLE", "COMPANY", "STATE", "LAST SIGN-IN (UTC)"];
    output::print(&output::table(&header, &rows))?;
    if let Some(next) = found.next_cursor {
        eprintln!("more: --cursor {next}");
    }
    Ok(())
}

async fn set_active(global: &Global, app: &App, typed: &str, active: bool) -> Result<(), Failure> {
    let user = known(app, typed).await?;
    let actor = actor();
    let change = UserChange { active: Some(active), ..UserChange::default() };
    let mut tx = transaction::begin(&app.database.pool).await?;
    let now = app.clock.now();
    let after = users::change(&mut tx, &users::operator(), by(&actor), user.id, &change, now).await?;
    tx.commit().await?;
    match (global.json, active) {
        (true, _) => output::print_json(&shown(&after)),
        (false, true) => output::print(&format!("{} is {}", after.email, after.state.as_str())),
        (false, false) => output::print(&format!("{} is disabled; every session ends within 5 seconds", after.email)),
    }
}

async fn reset_link(global: &Global, app: &App, typed: &str) -> Result<(), Failure> {
    let user = known(app, typed).await?;
    let kind = match user.state {
        UserState::Active => MailKind::PasswordReset,
        UserState::Invited => MailKind::Invitation,
        UserState::Disabled => {
            let says = format!("{} is disabled; `kopru user enable` lets them in again", user.email);
            return Err(Failure::Failed(says));
        }
    };
    let actor = actor();
    let mut tx = transaction::begin(&app.database.pool).await?;
    let (token, expires_at) = links::make(&mut tx, Holder::User(user.id), kind, app.clock.now()).await?;
    let entry = Entry {
        action: "user.reset_link_made",
        subject_kind: "user",
        subject: user.id.to_string(),
        detail: json!({ "expiresAt": expires_at }),
    };
    audit::record(&mut tx, by(&actor), &[entry]).await?;
    tx.commit().await?;
    let portal = &app.config.http.public_url;
    let link = mail::link(portal, kind.page().unwrap_or_default(), token.expose());
    if global.json {
        return output::print_json(
            &json!({ "email": user.email, "link": link, "token": token.expose(), "expiresAt": expires_at }),
        );
    }
    output::print(&link)?;
    let whose = match portal.is_empty() {
        true => "This is the link, at your portal's address ([http] public_url says which, and is not set).",
        false => "This is the link.",
    };
    eprintln!(
        "{whose} It is shown now and never again, works once, and ends {} UTC. Earlier ones are no good any more.",
        expires_at.format("%F %T")
    );
    Ok(())
}

async fn rotate_keys(global: &Global, app: &App, at_once: bool) -> Result<(), Failure> {
    let kid = app.people()?.rotate_keys(by(&actor()), at_once).await?;
    match global.json {
        true => output::print_json(&json!({ "kid": kid })),
        false => output::print(&format!("{kid} signs from now on; every daemon has taken it over within a minute")),
    }
}

async fn known(app: &App, typed: &str) -> Result<User, Failure> {
    let found = users::find_by_email(&app.database.pool, &email(typed)?).await?;
    found.ok_or_else(|| Failure::Failed(format!("there is no user {typed}; `kopru user list` shows them")))
}

async fn company(app: &App, code: &str) -> Result<i64, Failure> {
    let mut db = app.database.pool.acquire().await?;
    let found = customers::ids_by_code(&mut db, &[code]).await?;
    let none = || Failure::Failed(format!("there is no customer with the code `{code}`"));
    found.first().map(|(_, id)| *id).ok_or_else(none)
}

fn by(actor: &str) -> Actor<'_> {
    Actor::new(actor, "cli")
}

fn shown(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "fullName": user.full_name,
        "phone": user.phone,
        "role": user.role.as_str(),
        "companyId": user.company_id,
        "state": user.state.as_str(),
        "locale": user.locale.as_str(),
        "createdAt": user.created_at,
        "updatedAt": user.updated_at,
        "lastSignInAt": user.last_sign_in_at,
    })
}

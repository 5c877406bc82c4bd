//! Registering, and showing that the address is one's own.

use serde_json::json;

use crate::{
    audit::{self, Entry},
    identity::{
        email::Email,
        links::{self, Holder},
        passwords::{BadPassword, Password, PasswordError},
        people::{Addressee, LinkError, People, SendError, Visit},
        users::{self, UserError},
    },
    mail::{Locale, MailKind},
    transaction, turkish,
};

const LONGEST_TITLE: usize = 200;
const LONGEST_OFFICE: usize = 100;

#[derive(Debug, Clone)]
pub struct NewRegistration {
    pub email: Email,
    pub password: Password,
    pub full_name: String,
    pub phone: Option<String>,
    pub locale: Locale,
    pub company_title: String,
    /// VKN of a company, TCKN of a person.
    pub tax_number: String,
    pub tax_office: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error("a company's title has 1 to {LONGEST_TITLE} characters, none of them a control character")]
    Title,
    #[error("this is neither a VKN (10 digits) nor a TCKN (11 digits), or a digit of it is wrong")]
    TaxNumber,
    #[error("a tax office has at most {LONGEST_OFFICE} characters, none of them a control character")]
    TaxOffice,
    #[error(transparent)]
    Password(#[from] BadPassword),
    #[error(transparent)]
    User(UserError),
    #[error(transparent)]
    Hash(#[from] PasswordError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What passed.
struct Checked {
    full_name: String,
    phone: Option<String>,
    title: String,
    tax_number: String,
    tax_office: Option<String>,
}

fn check(new: &NewRegistration) -> Result<Checked, RegisterError> {
    let plain = |text: &str, longest: usize| text.chars().count() <= longest && !text.chars().any(char::is_control);
    let title = new.company_title.trim();
    if title.is_empty() || !plain(title, LONGEST_TITLE) {
        return Err(RegisterError::Title);
    }
    let tax_number: String = new.tax_number.chars().filter(|letter| !letter.is_whitespace()).collect();
    if !turkish::is_tax_number(&tax_number) {
        return Err(RegisterError::TaxNumber);
    }
    let tax_office = new.tax_office.as_deref().map(str::trim).filter(|office| !office.is_empty());
    if tax_office.is_some_and(|office| !plain(office, LONGEST_OFFICE)) {
        return Err(RegisterError::TaxOffice);
    }
    new.password.check(&new.email)?;
    Ok(Checked {
        full_name: users::name(&new.full_name).map_err(RegisterError::User)?.to_owned(),
        phone: users::phone(new.phone.as_deref()).map_err(RegisterError::User)?,
        title: title.to_owned(),
        tax_number,
        tax_office: tax_office.map(str::to_owned),
    })
}

impl People {
    /// Takes a registration. An address that is known, as a user or as a verified registration, changes nothing and is told
    /// nobody. One that was never verified is taken over by whoever registers it next, without a password: of two who say that
    /// an address is theirs, the one who reads its mail will choose it. A second mail within a minute is not sent.
    pub async fn register(&self, new: &NewRegistration, visit: &Visit) -> Result<(), RegisterError> {
        let checked = check(new)?;
        let hash = self.passwords().hash(&new.password).await?;
        let now = self.clock().now();
        let mut tx = transaction::begin(self.pool()).await?;
        let id = sqlx::query_scalar!(
            "insert into identity.registration as r
               (state, email, full_name, phone, locale, password_hash, company_title, tax_number, tax_office,
                created_at, updated_at)
             select 'pending', $1, $2, $3, $4, $5, $6, $7, $8, $9, $9
             where not exists (select from identity.app_user where email = $1)
             on conflict (email) where state = 'pending' do update
               set full_name = excluded.full_name, phone = excluded.phone, locale = excluded.locale,
                   password_hash = null, company_title = excluded.company_title,
                   tax_number = excluded.tax_number, tax_office = excluded.tax_office, updated_at = excluded.updated_at
               where r.verified_at is null
             returning id",
            new.email.as_str(),
            checked.full_name,
            checked.phone,
            new.locale.as_str(),
            hash,
            checked.title,
            checked.tax_number,
            checked.tax_office,
            now,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(id) = id else { return Ok(()) };
        let by = visit.by("nobody");
        let holder = Holder::Registration(id);
        // Nobody has shown that the address is theirs: it is not greeted by what somebody typed.
        let to = Addressee { holder, email: new.email.as_str(), full_name: "", locale: new.locale };
        let sent = match links::just_sent(&mut tx, holder, MailKind::Verification, now).await? {
            true => Ok(()),
            false => self.send_link(&mut tx, to, MailKind::Verification, by).await,
        };
        match sent {
            Ok(()) => {}
            // Whoever approves it invites the user then.
            Err(SendError::NoMasterKey) => {
                tracing::warn!(
                    registration = id,
                    "a registration is not verified: no mail can be sent without [auth] master_key_file"
                );
            }
            Err(error) => return Err(error.into()),
        }
        let entry = Entry {
            action: "registration.received",
            subject_kind: "registration",
            subject: id.to_string(),
            detail: json!({}),
        };
        audit::record(&mut tx, by, &[entry]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Opens the link of the mail: the address is theirs.
    pub async fn verify_email(&self, token: &str, visit: &Visit) -> Result<(), LinkError> {
        let now = self.clock().now();
        let mut tx = transaction::begin(self.pool()).await?;
        let holder = links::holder(&mut tx, token, &[MailKind::Verification], now).await?;
        let Some(Holder::Registration(id)) = holder else { return Err(LinkError::Refused) };
        if !links::spend(&mut tx, token).await? {
            return Err(LinkError::Refused);
        }
        let verified = sqlx::query!(
            "update identity.registration set verified_at = $2, updated_at = $2
             where id = $1 and state = 'pending' and verified_at is null",
            id,
            now,
        )
        .execute(&mut *tx)
        .await?;
        if verified.rows_affected() == 0 {
            return Err(LinkError::Refused);
        }
        let entry = Entry {
            action: "registration.verified",
            subject_kind: "registration",
            subject: id.to_string(),
            detail: json!({}),
        };
        audit::record(&mut tx, visit.by("nobody"), &[entry]).await?;
        tx.commit().await?;
        Ok(())
    }
}

//! The words of each mail, in each language. Plain text: nothing is loaded, nothing is hidden behind a button.

use super::{Locale, MailKind, Stored};

/// A mail's words.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// Of the recipient, on one line.
    pub name: String,
    pub subject: &'static str,
    pub body: String,
}

/// The words of a mail whose link begins at `public_url`. The token stands behind `#`, so that no server on the way writes
/// it down; it is empty where the link has no secret.
pub fn text(mail: &Stored, public_url: &str, token: &str) -> Text {
    let (kind, locale) = (mail.kind, mail.locale);
    let (subject, told, otherwise) = words(kind, locale);
    let name = one_line(&mail.full_name);
    let greeting = match locale {
        Locale::Tr if name.is_empty() => "Merhaba,".to_owned(),
        Locale::Tr => format!("Merhaba {name},"),
        Locale::En if name.is_empty() => "Hello,".to_owned(),
        Locale::En => format!("Hello {name},"),
    };
    let mut parts = vec![greeting, told.to_owned()];
    parts.extend(mail.reason.as_deref().map(one_line).filter(|reason| !reason.is_empty()));
    if let Some(link) = kind.page().map(|page| link(public_url, page, token)) {
        parts.push(link);
    }
    let once = match locale {
        Locale::Tr => "Bağlantı bir kez ve sınırlı bir süre için geçerlidir. ",
        Locale::En => "The link works once and for a limited time. ",
    };
    let once = if token.is_empty() { "" } else { once };
    parts.push(format!("{once}{otherwise}\n"));
    Text { subject, name, body: parts.join("\n\n") }
}

/// An address of the portal.
pub fn link(public_url: &str, page: &str, token: &str) -> String {
    let secret = if token.is_empty() { String::new() } else { format!("#token={token}") };
    format!("{}/{page}{secret}", public_url.trim_end_matches('/'))
}

/// Subject, what it is about, what to do if it came by mistake.
const fn words(kind: MailKind, locale: Locale) -> (&'static str, &'static str, &'static str) {
    match (kind, locale) {
        (MailKind::Invitation, Locale::Tr) => (
            "Hesabınız hazır: parolanızı belirleyin",
            "Sizin için bir kullanıcı hesabı açıldı. Parolanızı belirlemek için aşağıdaki bağlantıyı açın:",
            "Bu daveti beklemiyorsanız bu iletiyi yok sayabilirsiniz.",
        ),
        (MailKind::Invitation, Locale::En) => (
            "Your account is ready: choose a password",
            "A user account was opened for you. Open this link to choose your password:",
            "If you did not expect this invitation, you can ignore this mail.",
        ),
        (MailKind::Verification, Locale::Tr) => (
            "E-posta adresinizi doğrulayın",
            "Bu adresin size ait olduğunu doğrulamak için aşağıdaki bağlantıyı açın:",
            "Kaydı siz yapmadıysanız bu iletiyi yok sayabilirsiniz.",
        ),
        (MailKind::Verification, Locale::En) => (
            "Confirm your e-mail address",
            "Open this link to confirm that this address is yours:",
            "If you did not register, you can ignore this mail.",
        ),
        (MailKind::PasswordReset, Locale::Tr) => (
            "Parolanızı yenileyin",
            "Parolanızı yenilemek için aşağıdaki bağlantıyı açın:",
            "Bunu siz istemediyseniz bir şey yapmanız gerekmez; parolanız değişmedi.",
        ),
        (MailKind::PasswordReset, Locale::En) => (
            "Choose a new password",
            "Open this link to choose a new password:",
            "If you did not ask for this, there is nothing to do; your password has not changed.",
        ),
        (MailKind::RegistrationApproved, Locale::Tr) => (
            "Bayilik başvurunuz onaylandı",
            "Firmanızın başvurusu onaylandı. Kayıt olurken belirlediğiniz parolayla buradan giriş yapabilirsiniz:",
            "Başvuruyu siz yapmadıysanız lütfen bize bildirin.",
        ),
        (MailKind::RegistrationApproved, Locale::En) => (
            "Your company is registered as a dealer",
            "Your company's registration was approved. Sign in here with the password that you chose:",
            "If you did not register, please tell us.",
        ),
        (MailKind::RegistrationRejected, Locale::Tr) => (
            "Bayilik başvurunuz hakkında",
            "Firmanızın başvurusunu ne yazık ki kabul edemedik.",
            "Bilgileriniz değişirse yeniden başvurabilirsiniz.",
        ),
        (MailKind::RegistrationRejected, Locale::En) => (
            "About your company's registration",
            "We are sorry that we could not accept your company's registration.",
            "You are welcome to register again if something has changed.",
        ),
    }
}

/// A name stays a name: it adds no lines to the mail.
fn one_line(name: &str) -> String {
    name.split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(kind: MailKind, locale: Locale, full_name: &str) -> Stored {
        Stored {
            kind,
            to: "a@b.example".to_owned(),
            full_name: full_name.to_owned(),
            locale,
            token: None,
            reason: None,
            expires_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn every_mail_has_its_link_and_its_own_words_in_each_language() {
        let mut subjects = std::collections::BTreeSet::new();
        for kind in MailKind::ALL {
            for locale in [Locale::Tr, Locale::En] {
                let text = text(&mail(kind, locale, "Ayşe Öz"), "https://bayi.example.com/", "t0ken");
                let link = "https://bayi.example.com/";
                assert_eq!(text.body.contains(link), kind.page().is_some(), "{}", text.body);
                assert_eq!(text.body.contains("#token=t0ken"), kind.page().is_some());
                assert!(!text.body.contains("com//") && text.body.contains("Ayşe Öz"));
                subjects.insert(text.subject);
            }
        }
        assert_eq!(subjects.len(), 10);
    }

    #[test]
    fn a_link_without_a_secret_says_nothing_of_one() {
        let text = text(&mail(MailKind::RegistrationApproved, Locale::En, "A"), "https://h", "");
        assert!(text.body.contains("\nhttps://h/login\n") && !text.body.contains("once"), "{}", text.body);
    }

    #[test]
    fn neither_a_name_nor_a_reason_can_write_the_mail() {
        let mut stored = mail(MailKind::Invitation, Locale::En, "A\r\nClick https://evil.example");
        stored.reason = Some("no\r\n\r\nreally".to_owned());
        let text = text(&stored, "https://h", "t");
        assert!(text.body.starts_with("Hello A Click https://evil.example,\n\n"), "{}", text.body);
        assert!(text.body.contains("\n\nno really\n\n"), "{}", text.body);
        let nameless = super::text(&mail(MailKind::Invitation, Locale::Tr, " "), "https://h", "t");
        assert!(nameless.body.starts_with("Merhaba,"));
    }
}

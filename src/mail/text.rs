//! The words of each mail, in each language. Plain text: nothing is loaded, nothing is hidden behind a button.

use super::{Locale, MailKind};

/// A mail's words.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// Of the recipient, on one line.
    pub name: String,
    pub subject: &'static str,
    pub body: String,
}

/// The words of a mail whose link begins at `public_url`. The token stands behind `#`, so that no server on the way writes
/// it down.
pub fn text(kind: MailKind, locale: Locale, full_name: &str, public_url: &str, token: &str) -> Text {
    let page = match kind {
        MailKind::Invitation => "invitation",
        MailKind::Verification => "verify-email",
        MailKind::PasswordReset => "reset-password",
    };
    let link = format!("{}/{page}#token={token}", public_url.trim_end_matches('/'));
    let (subject, told, otherwise) = words(kind, locale);
    let name = one_line(full_name);
    let greeting = match locale {
        Locale::Tr if name.is_empty() => "Merhaba,".to_owned(),
        Locale::Tr => format!("Merhaba {name},"),
        Locale::En if name.is_empty() => "Hello,".to_owned(),
        Locale::En => format!("Hello {name},"),
    };
    let once = match locale {
        Locale::Tr => "Bağlantı bir kez ve sınırlı bir süre için geçerlidir.",
        Locale::En => "The link works once and for a limited time.",
    };
    Text { subject, name, body: format!("{greeting}\n\n{told}\n\n{link}\n\n{once} {otherwise}\n") }
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

    #[test]
    fn every_mail_has_its_link_and_its_own_words_in_each_language() {
        let mut subjects = std::collections::BTreeSet::new();
        for kind in MailKind::ALL {
            for locale in [Locale::Tr, Locale::En] {
                let text = text(kind, locale, "Ayşe Öz", "https://bayi.example.com/", "t0ken");
                assert!(text.body.contains("https://bayi.example.com/") && text.body.contains("#token=t0ken"));
                assert!(!text.body.contains("com//") && text.body.contains("Ayşe Öz"));
                subjects.insert(text.subject);
            }
        }
        assert_eq!(subjects.len(), 6);
    }

    #[test]
    fn a_name_cannot_write_the_mail() {
        let text = text(MailKind::Invitation, Locale::En, "A\r\nClick https://evil.example", "https://h", "t");
        assert!(text.body.starts_with("Hello A Click https://evil.example,\n\n"), "{}", text.body);
        assert!(super::text(MailKind::Invitation, Locale::Tr, " ", "https://h", "t").body.starts_with("Merhaba,"));
    }
}

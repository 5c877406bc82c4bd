//! Reads as much of a mail as a person or a test wants to see of it.

use base64::{Engine as _, engine::general_purpose::STANDARD};

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub message_id: Option<String>,
    pub subject: Option<String>,
    pub text: String,
}

pub(super) fn read(raw: &[u8]) -> Content {
    let whole = String::from_utf8_lossy(raw).replace("\r\n", "\n");
    let (head, body) = whole.split_once("\n\n").unwrap_or((&whole, ""));
    let headers = unfolded(head);
    let header = |name: &str| {
        let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    let text = match header("Content-Transfer-Encoding").unwrap_or_default().to_ascii_lowercase().as_str() {
        "base64" => decoded(body),
        "quoted-printable" => String::from_utf8_lossy(&quoted_printable(body)).into_owned(),
        _ => body.to_owned(),
    };
    Content {
        message_id: header("Message-ID"),
        subject: header("Subject").map(|subject| encoded_words(&subject)),
        text: text.replace("\r\n", "\n"),
    }
}

fn decoded(text: &str) -> String {
    let packed: String = text.split_whitespace().collect();
    STANDARD.decode(packed).map_or_else(|_| text.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn unfolded(head: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in head.lines() {
        match (line.starts_with([' ', '\t']), headers.last_mut(), line.split_once(':')) {
            (true, Some((_, value)), _) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (_, _, Some((name, value))) => headers.push((name.to_owned(), value.trim().to_owned())),
            _ => {}
        }
    }
    headers
}

fn quoted_printable(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'=' {
            bytes.push(*first);
            continue;
        }
        match rest {
            [b'\n', after @ ..] => rest = after,
            [high, low, after @ ..] => {
                let hex = std::str::from_utf8(&[*high, *low]).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                if let Some(byte) = hex {
                    bytes.push(byte);
                    rest = after;
                } else {
                    bytes.push(b'=');
                }
            }
            _ => bytes.push(b'='),
        }
    }
    bytes
}

/// `=?utf-8?b?…?=` and `=?utf-8?q?…?=`; blanks between two of them are not part of the text.
fn encoded_words(text: &str) -> String {
    let mut read = String::new();
    let mut encoded_before = false;
    for word in text.split(' ') {
        let decoded = word.strip_prefix("=?").and_then(|rest| rest.strip_suffix("?=")).and_then(|inner| {
            let mut parts = inner.splitn(3, '?').skip(1);
            match (parts.next()?.to_ascii_lowercase().as_str(), parts.next()?) {
                ("b", text) => STANDARD.decode(text).ok(),
                ("q", text) => Some(quoted_printable(&text.replace('_', " "))),
                _ => None,
            }
        });
        if !read.is_empty() && !(encoded_before && decoded.is_some()) {
            read.push(' ');
        }
        encoded_before = decoded.is_some();
        match decoded {
            Some(bytes) => read.push_str(&String::from_utf8_lossy(&bytes)),
            None => read.push_str(word),
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_unfolded_and_bodies_decoded() {
        let raw = "Message-ID: <1@x>\r\nSubject: =?utf-8?b?UGFyb2xhbsSx?=\r\n =?utf-8?b?esSx?=\r\n\
                   Content-Transfer-Encoding: quoted-printable\r\n\r\na=3Db=\r\nc =C4=B1\r\n";
        let content = read(raw.as_bytes());
        assert_eq!(content.message_id.as_deref(), Some("<1@x>"));
        assert_eq!(content.subject.as_deref(), Some("Parolanızı"));
        assert_eq!(content.text, "a=bc ı\n");
    }

    #[test]
    fn a_plain_body_stays_as_it_is() {
        assert_eq!(read(b"A: b\r\n\r\nhello = you\r\n").text, "hello = you\n");
        assert_eq!(read(b"Content-Transfer-Encoding: base64\r\n\r\naGVs\r\nbG8=\r\n").text, "hello");
    }
}

//! Which address, and which events, an endpoint may name.

use std::fmt;

use kopru_sdk::{outbound::Url, settings::unknown_key};

use super::{EndpointError, WebhookSettings};
use crate::outbox::EventType;

/// The longest address.
const LONGEST: usize = 2_000;

/// An address that was judged, as the client reads it: without a fragment, its host in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// Judges an address, and what it leads to now.
    pub async fn judge(settings: &WebhookSettings, text: &str) -> Result<Address, EndpointError> {
        let text = text.trim();
        let bad = || EndpointError::Url(text.chars().take(100).collect());
        let mut url: Url = text.parse().map_err(|_| bad())?;
        url.set_fragment(None);
        if url.as_str().len() > LONGEST {
            return Err(bad());
        }
        settings.guard.check(&url).await?;
        Ok(Address(url))
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Types of events, or patterns of them: `*`, or `order.*` for all whose name begins so. Sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription(Vec<String>);

impl Subscription {
    pub fn parse<T: AsRef<str>>(patterns: &[T]) -> Result<Subscription, EndpointError> {
        let mut read: Vec<String> = Vec::with_capacity(patterns.len());
        for pattern in patterns.iter().map(|pattern| pattern.as_ref().trim()).filter(|pattern| !pattern.is_empty()) {
            if !is_known(pattern) {
                let known: Vec<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
                let hint = unknown_key(pattern, &known).replace("key", "event");
                return Err(EndpointError::UnknownEvent { pattern: pattern.chars().take(100).collect(), hint });
            }
            read.push(pattern.to_owned());
        }
        if read.is_empty() {
            return Err(EndpointError::NoEvents);
        }
        read.sort();
        read.dedup();
        Ok(Subscription(read))
    }

    pub fn patterns(&self) -> &[String] {
        &self.0
    }
}

fn is_known(pattern: &str) -> bool {
    pattern == "*" || EventType::ALL.iter().any(|kind| kind.as_str() == pattern || kind.family() == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_types_families_or_everything() {
        let read = Subscription::parse(&["order.*", " stock.changed ", "order.*", ""]).expect("known");
        assert_eq!(read.patterns(), ["order.*", "stock.changed"]);
        assert!(Subscription::parse(&["*"]).is_ok());
        assert!(matches!(Subscription::parse::<&str>(&[]), Err(EndpointError::NoEvents)));
        for bad in ["order", "order.", "orders.*", "*.created", "order.*.*", "ORDER.CREATED"] {
            assert!(matches!(Subscription::parse(&[bad]), Err(EndpointError::UnknownEvent { .. })), "{bad}");
        }
        let error = Subscription::parse(&["order.cancled"]).expect_err("unknown").to_string();
        assert!(error.contains("order.cancelled"), "{error}");
    }

    #[tokio::test]
    async fn an_address_is_kept_as_the_client_reads_it() {
        let settings = WebhookSettings {
            guard: kopru_sdk::outbound::Guard::new(
                kopru_sdk::outbound::Allowed::parse("127.0.0.0/8").into_iter().collect(),
            ),
            ..WebhookSettings::default()
        };
        let address = Address::judge(&settings, " HTTP://0x7f.1:8080/Hook/?a=b#part ").await.expect("listed");
        assert_eq!(address.as_str(), "http://127.0.0.1:8080/Hook/?a=b");
        for bad in ["", "hooks.example.com", "mailto:a@b.c", "http://"] {
            assert!(Address::judge(&settings, bad).await.is_err(), "{bad}");
        }
    }
}

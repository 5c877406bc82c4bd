//! Which addresses may be called when somebody else chose them: those of the public internet, and what was listed.
//!
//! Invariants
//! - What is not known for public is not called: of IPv6 only global unicast without the ranges that carry an IPv4
//!   address in them, of IPv4 everything but the reserved ranges.
//! - A name is judged by all of its addresses: one that leads inside spoils the others.
//! - What was judged is what is connected to; nothing is resolved a second time.
//! - Plain http and unusual ports are for what was listed.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use ipnet::IpNet;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// A network or a host that may be called although it is not public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    Network(IpNet),
    /// In lower case; `*.example.local` is everything below it.
    Host(String),
}

impl Allowed {
    /// `10.0.0.0/8`, `127.0.0.1`, `hooks.local` or `*.local`.
    pub fn parse(text: &str) -> Option<Allowed> {
        let text = text.trim();
        if let Ok(network) = text.parse() {
            return Some(Allowed::Network(network));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Allowed::Network(IpNet::from(address)));
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        let good = !name.is_empty()
            && name.len() <= 253
            && name.split('.').all(|label| {
                !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            });
        // A name that ends in a number is an address that somebody mistyped.
        let numeric = name.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
        (good && !numeric).then(|| Allowed::Host(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allowed::Network(network) => network.fmt(f),
            Allowed::Host(host) => host.fmt(f),
        }
    }
}

/// Why an address is not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    #[error("`{0}` is not http or https")]
    Scheme(String),
    #[error("the address carries a user name or a password; the signature is what proves who calls")]
    Credentials,
    #[error("the address names no host")]
    NoHost,
    #[error("{0} is reached without TLS; use https")]
    Plain(String),
    #[error("port {0} is not one of a web server")]
    Port(u16),
    #[error("{host} leads to {address}, which is not a public address")]
    Inside { host: String, address: IpAddr },
    #[error("{host} cannot be resolved: {why}")]
    Unresolved { host: String, why: String },
}

/// Where names are resolved. Tests have one of their own.
#[async_trait]
pub trait Resolver: Send + Sync {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

#[derive(Clone)]
pub struct Guard {
    allowed: Arc<[Allowed]>,
    resolver: Arc<dyn Resolver>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl Default for Guard {
    fn default() -> Guard {
        Guard::new(Vec::new())
    }
}

impl Guard {
    pub fn new(allowed: Vec<Allowed>) -> Guard {
        Guard::resolving(allowed, Arc::new(SystemResolver))
    }

    pub fn resolving(allowed: Vec<Allowed>, resolver: Arc<dyn Resolver>) -> Guard {
        Guard { allowed: allowed.into(), resolver }
    }

    /// Judges an address as it stands, and what it leads to now.
    pub async fn check(&self, url: &Url) -> Result<(), Blocked> {
        self.addresses(url).await.map(|_| ())
    }

    /// The same; what is connected to is among the answer.
    pub async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, Blocked> {
        let port = self.check_form(url)?;
        let found = match url.host() {
            Some(url::Host::Ipv4(address)) => {
                self.judge(url.scheme(), &address.to_string(), port, &[address.into()])?;
                vec![address.into()]
            }
            Some(url::Host::Ipv6(address)) => {
                self.judge(url.scheme(), &address.to_string(), port, &[address.into()])?;
                vec![address.into()]
            }
            Some(url::Host::Domain(host)) => self.resolve(url.scheme(), host, port).await?,
            None => return Err(Blocked::NoHost),
        };
        Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }

    /// What can be said without asking anybody. Returns the port.
    pub fn check_form(&self, url: &Url) -> Result<u16, Blocked> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Blocked::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Blocked::Credentials);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(Blocked::NoHost);
        }
        url.port_or_known_default().ok_or(Blocked::Port(0))
    }

    async fn resolve(&self, scheme: &str, host: &str, port: u16) -> Result<Vec<IpAddr>, Blocked> {
        let unresolved = |why: String| Blocked::Unresolved { host: host.to_owned(), why };
        let found = self.resolver.resolve(host).await.map_err(|error| unresolved(error.to_string()))?;
        if found.is_empty() {
            return Err(unresolved("it has no address".to_owned()));
        }
        self.judge(scheme, host, port, &found)?;
        Ok(found)
    }

    fn judge(&self, scheme: &str, host: &str, port: u16, addresses: &[IpAddr]) -> Result<(), Blocked> {
        let named = self.names(host);
        if named || addresses.iter().all(|address| self.lists(*address)) {
            return Ok(());
        }
        if let Some(address) = addresses.iter().find(|address| !self.lists(**address) && !is_public(**address)) {
            return Err(Blocked::Inside { host: host.to_owned(), address: *address });
        }
        if scheme != "https" {
            return Err(Blocked::Plain(host.to_owned()));
        }
        if !is_web_port(port) {
            return Err(Blocked::Port(port));
        }
        Ok(())
    }

    fn names(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.allowed.iter().any(|allowed| match allowed {
            Allowed::Network(_) => false,
            Allowed::Host(name) => match name.strip_prefix('*') {
                Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
                None => *name == host,
            },
        })
    }

    fn lists(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|allowed| matches!(allowed, Allowed::Network(network) if network.contains(&address)))
    }

    /// The guard as the resolver of a client that calls this address.
    pub(super) fn pinned(&self, url: &Url) -> Pinned {
        Pinned {
            guard: self.clone(),
            scheme: url.scheme().to_owned(),
            port: url.port_or_known_default().unwrap_or_default(),
        }
    }
}

/// Resolves for a client, and gives it only what was judged: the client connects to that and to nothing else.
pub(super) struct Pinned {
    guard: Guard,
    scheme: String,
    port: u16,
}

impl Resolve for Pinned {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, scheme, port) = (self.guard.clone(), self.scheme.clone(), self.port);
        Box::pin(async move {
            let found = guard.resolve(&scheme, name.as_str(), port).await?;
            let addresses: Addrs = Box::new(found.into_iter().map(move |address| SocketAddr::new(address, port)));
            Ok(addresses)
        })
    }
}

/// 80 and 443, and above 1023 what browsers do not refuse either because something else listens there.
fn is_web_port(port: u16) -> bool {
    const OTHERS: [u16; 18] =
        [1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6697, 10080];
    matches!(port, 80 | 443) || (port >= 1024 && !OTHERS.contains(&port))
}

/// Whether an address is one of the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    /// Where the machines of a cloud ask who they are, though the address looks like any other.
    const WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
    let inside = match address.octets() {
        // This network, private, loopback, link-local (metadata), multicast, reserved and broadcast.
        [0 | 10 | 127 | 224..=255, ..] | [169, 254, ..] | [172, 16..=31, ..] | [192, 168, ..] => true,
        // Shared by carriers (CGNAT), protocol assignments, 6to4 relays, benchmarks.
        [100, 64..=127, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [198, 18 | 19, ..] => true,
        // Documentation.
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        _ => address == WIRE_SERVER,
    };
    !inside
}

/// Global unicast is 2000::/3. Outside of it lie loopback, unspecified, unique local, link-local, site-local, multicast,
/// NAT64 and every form that maps an IPv4 address.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Teredo, benchmarks, ORCHID and other assignments of protocols.
        [0x2001, 0..=0x1ff, ..] => false,
        // Documentation.
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // 6to4: an IPv4 address in disguise.
        [0x2002, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    /// Answers one after the other, the last one for ever.
    struct Scripted(Mutex<Vec<Vec<IpAddr>>>);

    #[async_trait]
    impl Resolver for Scripted {
        async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
            let mut answers = self.0.lock().expect("answers");
            let next = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
            Ok(next)
        }
    }

    fn resolving(answers: &[&[&str]], allowed: &[&str]) -> Guard {
        let read = |texts: &&[&str]| texts.iter().map(|text| text.parse().expect("an address")).collect();
        let allowed = allowed.iter().map(|text| Allowed::parse(text).expect("listed")).collect();
        Guard::resolving(allowed, Arc::new(Scripted(Mutex::new(answers.iter().map(read).collect()))))
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[tokio::test]
    async fn a_public_https_address_may_be_called() {
        let guard = resolving(&[&["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]], &[]);
        guard.check(&url("https://hooks.example.com/a?b=c")).await.expect("public");
        guard.check(&url("https://hooks.example.com:8443/")).await.expect("a port of a web server");
        let found = guard.addresses(&url("https://93.184.215.14/")).await.expect("public");
        assert_eq!(found, ["93.184.215.14:443".parse().expect("an address")]);
    }

    #[tokio::test]
    async fn every_way_to_write_an_inner_address_is_refused() {
        let guard = resolving(&[&["93.184.215.14"]], &[]);
        for text in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://017700000001/",
            "https://127.1/",
            "https://0/",
            "https://10.0.0.1/",
            "https://100.64.0.1/",
            "https://100.100.100.200/latest/meta-data/",
            "https://169.254.169.254/latest/meta-data/",
            "https://168.63.129.16/",
            "https://172.31.255.255/",
            "https://192.0.0.192/opc/v2/",
            "https://192.168.1.1/",
            "https://198.19.0.1/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
            "https://[::]/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:8.8.8.8]/",
            "https://[::127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[64:ff9b:1::a00:1]/",
            "https://[2001::1]/",
            "https://[2002:7f00:1::]/",
            "https://[fc00::1]/",
            "https://[fd00:ec2::254]/",
            "https://[fe80::1]/",
            "https://[fec0::1]/",
            "https://[ff02::1]/",
            "https://[2001:db8::1]/",
        ] {
            let refused = guard.check(&url(text)).await;
            assert!(matches!(refused, Err(Blocked::Inside { .. })), "{text}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn form_scheme_and_port_are_judged() {
        let guard = resolving(&[&["93.184.215.14"]], &[]);
        let refused = async |text: &str| guard.check(&url(text)).await.expect_err("refused");
        assert_eq!(refused("ftp://hooks.example.com/").await, Blocked::Scheme("ftp".to_owned()));
        assert_eq!(refused("https://user@hooks.example.com/").await, Blocked::Credentials);
        assert_eq!(refused("https://:secret@hooks.example.com/").await, Blocked::Credentials);
        assert_eq!(refused("http://hooks.example.com/").await, Blocked::Plain("hooks.example.com".to_owned()));
        assert_eq!(refused("https://hooks.example.com:25/").await, Blocked::Port(25));
        assert_eq!(refused("https://hooks.example.com:6667/").await, Blocked::Port(6667));
    }

    #[tokio::test]
    async fn one_inner_address_of_a_name_spoils_the_others() {
        let guard = resolving(&[&["93.184.215.14", "10.0.0.7"]], &[]);
        let refused = guard.check(&url("https://hooks.example.com/")).await.expect_err("refused");
        assert_eq!(refused.to_string(), "hooks.example.com leads to 10.0.0.7, which is not a public address");
        let nowhere = resolving(&[&[]], &[]).check(&url("https://hooks.example.com/")).await;
        assert!(matches!(nowhere, Err(Blocked::Unresolved { .. })));
    }

    #[tokio::test]
    async fn what_was_public_when_it_was_registered_is_judged_again() {
        let guard = resolving(&[&["93.184.215.14"], &["127.0.0.1"]], &[]);
        let address = url("https://hooks.example.com/");
        guard.check(&address).await.expect("public");
        assert!(matches!(guard.check(&address).await, Err(Blocked::Inside { .. })));
    }

    #[tokio::test]
    async fn what_is_listed_may_be_called_whatever_it_is() {
        let guard = resolving(&[&["10.1.2.3"]], &["10.0.0.0/8", "*.local", "::1"]);
        for text in ["http://inner.example.com:9/", "http://10.9.9.9:25/", "https://a.b.local/", "http://[::1]:1/"] {
            guard.check(&url(text)).await.unwrap_or_else(|blocked| panic!("{text}: {blocked}"));
        }
        assert!(guard.check(&url("https://11.0.0.1/")).await.is_ok());
        assert!(guard.check(&url("http://192.168.0.1/")).await.is_err());
        let other = resolving(&[&["192.168.0.1"]], &["*.local"]);
        assert!(other.check(&url("https://local/")).await.is_err(), "below it, not itself");
        assert!(other.check(&url("https://evillocal/")).await.is_err());
        // An address in another family is another address.
        let loopback = resolving(&[&["::ffff:127.0.0.1"]], &["127.0.0.0/8"]);
        assert!(loopback.check(&url("https://hooks.example.com/")).await.is_err());
    }

    #[test]
    fn lists_hold_networks_addresses_and_names() {
        assert_eq!(Allowed::parse(" 10.0.0.0/8 "), Some(Allowed::Network("10.0.0.0/8".parse().expect("a network"))));
        assert_eq!(Allowed::parse("127.0.0.1").map(|one| one.to_string()), Some("127.0.0.1/32".to_owned()));
        assert_eq!(Allowed::parse("Hooks.Local"), Some(Allowed::Host("hooks.local".to_owned())));
        for bad in ["", "*", "*.", "10.0.0.0/40", "300.1.1.1", "a b", "http://x", "x:80"] {
            assert_eq!(Allowed::parse(bad), None, "{bad}");
        }
    }

    fn reserved() -> Vec<IpNet> {
        [
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "168.63.129.16/32",
            "::/8",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "100::/64",
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "3fff::/20",
            "5f00::/16",
            "fc00::/7",
            "fe80::/10",
            "fec0::/10",
            "ff00::/8",
        ]
        .map(|text| text.parse().expect("a network"))
        .into()
    }

    proptest! {
        #[test]
        fn an_ipv4_address_is_public_when_no_reserved_network_holds_it(bits: u32) {
            let address = IpAddr::V4(Ipv4Addr::from(bits));
            prop_assert_eq!(is_public(address), !reserved().iter().any(|network| network.contains(&address)));
        }

        #[test]
        fn an_ipv6_address_in_a_reserved_network_is_never_public(place in 0usize..64, bits: u128) {
            let networks: Vec<IpNet> = reserved().into_iter().filter(|network| network.network().is_ipv6()).collect();
            let IpNet::V6(network) = networks[place % networks.len()] else { unreachable!("filtered") };
            let inside = u128::from(network.network()) | (bits & u128::from(network.hostmask()));
            prop_assert!(!is_public(IpAddr::V6(Ipv6Addr::from(inside))));
        }

        #[test]
        fn an_ipv6_address_that_is_public_is_global_unicast(bits: u128) {
            let address = Ipv6Addr::from(bits);
            if is_public(IpAddr::V6(address)) {
                prop_assert_eq!(bits >> 125, 1);
                prop_assert!(address.to_ipv4().is_none());
            }
        }

        #[test]
        fn an_inner_ipv4_address_is_refused_in_every_spelling(place in 0usize..64, host: u32, spelling in 0usize..6) {
            let networks: Vec<IpNet> = reserved().into_iter().filter(|network| network.network().is_ipv4()).collect();
            let IpNet::V4(network) = networks[place % networks.len()] else { unreachable!("filtered") };
            let bits = u32::from(network.network()) | (host & u32::from(network.hostmask()));
            let address = Ipv4Addr::from(bits);
            let [a, b, c, d] = address.octets();
            let host = match spelling {
                0 => address.to_string(),
                1 => bits.to_string(),
                2 => format!("{bits:#x}"),
                3 => format!("0{bits:o}"),
                4 => format!("{a:#x}.{b}.0{c:o}.{d}"),
                _ => format!("[::ffff:{address}]"),
            };
            let parsed: Url = format!("https://{host}/").parse().expect("an address");
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let refused = runtime.block_on(Guard::default().check(&parsed));
            prop_assert!(matches!(refused, Err(Blocked::Inside { .. })), "{host}");
        }
    }
}

//! The outbound stack against sockets that behave badly.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use kopru_sdk::{
    Fault,
    outbound::{Call, Effect, Method, Outbound, Policy, Timeouts, Tls, Url},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

fn policy() -> Policy {
    Policy {
        timeouts: Timeouts {
            connect: Duration::from_secs(30),
            read: Duration::from_secs(30),
            write: Duration::from_secs(30),
        },
        rate_per_second: None,
        max_answer: Policy::MAX_ANSWER,
        tls: Tls::Verify,
    }
}

fn outbound(address: SocketAddr, policy: Policy) -> Outbound {
    Outbound::new(&Url::parse(&format!("http://{address}/base")).unwrap(), policy).unwrap()
}

/// Reads each request to its end and gives the connection to `answer`.
async fn server<F, A>(answer: F) -> SocketAddr
where
    F: Fn(TcpStream, String) -> A + Send + Sync + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut seen = Vec::new();
                let mut buffer = [0; 4096];
                while !seen.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut buffer).await {
                        Ok(count) if count > 0 => seen.extend_from_slice(&buffer[..count]),
                        _ => return,
                    }
                }
                answer(stream, String::from_utf8_lossy(&seen).into_owned()).await;
            });
        }
    });
    address
}

async fn class_of(address: SocketAddr, effect: Effect) -> (&'static str, String) {
    class_within(policy().timeouts.read, address, effect).await
}

async fn class_within(time_out: Duration, address: SocketAddr, effect: Effect) -> (&'static str, String) {
    let call = match effect {
        Effect::Read => Call::read(Method::GET, "/thing").query("secret", "s3cret"),
        Effect::Change => Call::change(Method::POST, "/thing").body("{}"),
    };
    let mut policy = policy();
    (policy.timeouts.read, policy.timeouts.write) = (time_out, time_out);
    match outbound(address, policy).send(call).await {
        Ok(_) => ("ok", String::new()),
        Err(fault) => (fault.class(), fault.to_string()),
    }
}

#[tokio::test]
async fn a_call_that_was_not_sent_changed_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for effect in [Effect::Read, Effect::Change] {
        let (class, text) = class_of(address, effect).await;
        assert_eq!(class, "transient");
        assert!(text.contains("/thing at 127.0.0.1") && text.contains("refused"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn a_call_that_broke_off_after_it_was_sent_is_unknown() {
    let cut = server(|stream, _| async move { drop(stream) }).await;
    let hangs = server(|stream, _| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    let truncated = server(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"items\":[").await.unwrap();
    })
    .await;
    let long = Duration::from_secs(30);
    for (address, time_out) in [(cut, long), (hangs, Duration::from_millis(300)), (truncated, long)] {
        assert_eq!(class_within(time_out, address, Effect::Read).await.0, "transient");
        assert_eq!(class_within(time_out, address, Effect::Change).await.0, "unknown_outcome");
    }
}

#[tokio::test]
async fn a_large_answer_is_cut_off_while_it_streams_in() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let address = server(move |mut stream, _| {
        let counter = Arc::clone(&counter);
        async move {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
                .await
                .unwrap();
            let block = vec![b' '; 64 * 1024];
            while stream.write_all(&block).await.is_ok() {
                counter.fetch_add(block.len(), Ordering::Relaxed);
            }
        }
    })
    .await;
    let mut small = policy();
    small.max_answer = 1024 * 1024;
    small.timeouts.read = Duration::from_secs(30);
    let fault = outbound(address, small).send(Call::read(Method::GET, "/thing")).await.unwrap_err();
    assert!(fault.is_too_large() && fault.class() == "permanent", "nothing that passes by itself: {fault:?}");
    assert!(fault.to_string().contains("larger than 1 MiB"), "{fault}");
    // What had been sent when we hung up: the limit and what the two sockets hold.
    assert!(sent.load(Ordering::Relaxed) < 32 * 1024 * 1024);

    let announced = server(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n").await.unwrap();
    })
    .await;
    let fault = outbound(announced, policy()).send(Call::read(Method::GET, "/thing")).await.unwrap_err();
    assert!(fault.to_string().contains("larger than 32 MiB"), "{fault}");
}

#[tokio::test]
async fn redirects_are_not_followed_and_the_base_path_stands_first() {
    let address = server(|mut stream, request| async move {
        assert!(request.starts_with("GET /base/thing HTTP/1.1"), "{request}");
        stream
            .write_all(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
    })
    .await;
    let answer = outbound(address, policy()).send(Call::read(Method::GET, "/thing")).await.unwrap();
    assert_eq!(answer.status.as_u16(), 302);
}

#[tokio::test]
async fn calls_keep_to_the_rate() {
    let address = server(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    })
    .await;
    let mut slow = policy();
    slow.rate_per_second = std::num::NonZeroU32::new(20);
    let outbound = outbound(address, slow);
    let started = Instant::now();
    for _ in 0..5 {
        outbound.send(Call::read(Method::GET, "/thing")).await.unwrap();
    }
    // Five calls are four intervals of 50 ms apart.
    assert!(started.elapsed() >= Duration::from_millis(190));
}

mod tls {
    use kopru_sdk::outbound::Fingerprint;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A server with a self-signed certificate, as the REST service's installer makes them.
    async fn tls_server() -> (SocketAddr, Fingerprint) {
        let certificate = CertificateDer::from(include_bytes!("tls/certificate.der").as_slice());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(include_bytes!("tls/key.der").as_slice()));
        let fingerprint = Fingerprint::of(&certificate);
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key)
                .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut buffer = [0; 4096];
                    let _ = stream.read(&mut buffer).await;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n7").await;
                });
            }
        });
        (address, fingerprint)
    }

    async fn call(address: SocketAddr, tls: Tls) -> Result<(), Fault> {
        let base = Url::parse(&format!("https://{address}")).unwrap();
        let mut policy = policy();
        policy.timeouts.read = Duration::from_secs(5);
        policy.tls = tls;
        Outbound::new(&base, policy).unwrap().send(Call::read(Method::GET, "/")).await.map(drop)
    }

    #[tokio::test]
    async fn only_the_pinned_certificate_is_believed() {
        let (address, fingerprint) = tls_server().await;
        call(address, Tls::Pin(fingerprint)).await.unwrap();
        call(address, Tls::Insecure).await.unwrap();

        let other = Fingerprint::parse(&"AB".repeat(32)).unwrap();
        let fault = call(address, Tls::Pin(other)).await.unwrap_err();
        assert_eq!(fault.class(), "contract");
        assert!(fault.to_string().contains(&fingerprint.to_string()), "{fault}");

        let fault = call(address, Tls::Verify).await.unwrap_err();
        assert_eq!(fault.class(), "contract", "{fault}");
    }
}

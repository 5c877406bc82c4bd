//! Compressed request bodies: what they unpack to is what counts.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use reqwest::{Response, StatusCode};

use super::site::{BODY_LIMIT, Site, problem};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .arg("-9c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip is on every system");
    let mut stdin = child.stdin.take().expect("piped");
    let plain = plain.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&plain));
    let output = child.wait_with_output().expect("packed");
    writing.join().expect("no panic").expect("written");
    output.stdout
}

async fn send(site: &Site, encoding: &str, body: Vec<u8>) -> Response {
    let request = site.client.post(site.url("/echo")).header("content-encoding", encoding).body(body);
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn a_compressed_body_is_unpacked() {
    let site = Site::new().await;
    let plain = "köprü ".repeat(2_000);
    for name in ["gzip", "GZIP", "x-gzip"] {
        let response = send(&site, name, gzip(plain.as_bytes())).await;
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        assert_eq!(response.text().await.expect("text"), plain);
    }
    assert_eq!(send(&site, "identity", b"x".to_vec()).await.text().await.expect("text"), "x");
}

#[tokio::test]
async fn the_limit_holds_for_what_a_body_unpacks_to() {
    let site = Site::new().await;
    let fits = send(&site, "gzip", gzip(&vec![b'x'; BODY_LIMIT])).await;
    assert_eq!(fits.bytes().await.expect("bytes").len(), BODY_LIMIT);
    problem(send(&site, "gzip", gzip(&vec![b'x'; BODY_LIMIT + 1])).await, 413, "body_too_large").await;
    // 40 MB in 40 KB: below the limit as it comes.
    let bomb = gzip(&vec![0; 40 * 1024 * 1024]);
    assert!(bomb.len() < BODY_LIMIT);
    problem(send(&site, "gzip", bomb).await, 413, "body_too_large").await;
    // Many empty packets unpack to nothing for ever.
    let empty = gzip(b"").repeat(BODY_LIMIT);
    problem(send(&site, "gzip", empty).await, 413, "body_too_large").await;
}

#[tokio::test]
async fn what_cannot_be_unpacked_is_refused() {
    let site = Site::new().await;
    for name in ["br", "zstd", "gzip, gzip", "köprü"] {
        let response = send(&site, name, b"x".to_vec()).await;
        assert_eq!(response.headers()["accept-encoding"], "gzip", "{name}");
        problem(response, 415, "unsupported_encoding").await;
    }
    problem(send(&site, "gzip", b"this is not gzip".to_vec()).await, 400, "bad_request").await;
    let whole = gzip("köprü ".repeat(2_000).as_bytes());
    problem(send(&site, "gzip", whole[..whole.len() / 2].to_vec()).await, 400, "bad_request").await;
}

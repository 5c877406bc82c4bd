//! What a fault makes of an answer. Works on whole answers or streams; the connection is the server's.

use std::io;

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, StatusCode, header},
};
use encoding_rs::WINDOWS_1254;
use futures::stream;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

/// Said in the system's place.
pub(super) fn status(code: u16, retry_after: Option<u64>, body: Option<&Value>) -> Response<Body> {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = || json!({"Message": status.canonical_reason().unwrap_or("An error has occurred.")});
    let (kind, body) = match body {
        Some(Value::String(text)) => ("text/plain; charset=utf-8", text.clone()),
        Some(other) => ("application/json; charset=utf-8", other.to_string()),
        None => ("application/json; charset=utf-8", message().to_string()),
    };
    let mut response = answer(status, kind, Body::from(body));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A page as a proxy or a captive portal shows it.
pub(super) fn html() -> Response<Body> {
    const PAGE: &str = "<!DOCTYPE html>\r\n<html lang=\"tr\"><head><meta charset=\"utf-8\"><title>Ağ geçidi</title></head>\r\n\
        <body><h1>Hizmet şu anda kullanılamıyor</h1><p>Lütfen daha sonra yeniden deneyin.</p></body></html>\r\n";
    answer(StatusCode::OK, "text/html; charset=utf-8", Body::from(PAGE))
}

/// Noise of any length, made as it is sent, the same each time.
pub(super) fn garbage(length: u64) -> Response<Body> {
    const CHUNK: u64 = 64 * 1024;
    let chunks = stream::unfold((length, 0x9e37_79b9_7f4a_7c15_u64), |(left, mut state)| async move {
        if left == 0 {
            return None;
        }
        let size = left.min(CHUNK);
        let chunk: Vec<u8> = (0..size)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        Some((Ok::<_, io::Error>(Bytes::from(chunk)), (left - size, state)))
    });
    let mut response = answer(StatusCode::OK, "application/json; charset=utf-8", Body::from_stream(chunks));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// The first half under the full length; then the stream fails, which makes the server close the connection.
pub(super) async fn truncate(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let whole = collect(body).await;
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let half = whole.slice(..whole.len() / 2);
    let broken = stream::unfold(Some(half), |next| async {
        match next {
            Some(half) if !half.is_empty() => Some((Ok(half), Some(Bytes::new()))),
            _ => {
                // Lets the first half reach the socket before the connection goes.
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                Some((Err(io::Error::other("truncated")), None))
            }
        }
    });
    Response::from_parts(parts, Body::from_stream(broken))
}

/// The text in windows-1254 under its old declaration.
pub(super) async fn wrong_charset(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let whole = collect(body).await;
    let text = String::from_utf8_lossy(&whole);
    let (bytes, _, _) = WINDOWS_1254.encode(&text);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(bytes.into_owned()))
}

/// Systems' bodies come from memory; one that fails is as good as empty here.
pub(super) async fn collect(body: Body) -> Bytes {
    body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}

pub(super) fn answer(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

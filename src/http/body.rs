//! Request bodies: how long they may be as they come, how they are compressed, and what becomes of one that was refused: it
//! is read to the end for a while, so that the answer arrives.
//!
//! Closing a connection with unread bytes resets it, and a reset throws away the answer that is still on its way: a
//! caller who sends too much would see a broken connection instead of 413.

use std::{
    error::Error,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::runtime::Handle;
use tower_http::timeout::TimeoutError;

use super::problem::Problem;

/// How long the rest of an unwanted body is read and thrown away.
const LINGER: Duration = Duration::from_secs(5);

struct Lingering(Option<Body>);

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.0.as_mut() {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let (Some(mut body), Ok(runtime)) = (self.0.take(), Handle::try_current()) else { return };
        if body.is_end_stream() {
            return;
        }
        runtime.spawn(tokio::time::timeout(LINGER, async move { while let Some(Ok(_)) = body.frame().await {} }));
    }
}

pub(super) fn linger(request: Request) -> Request {
    // Who waits for leave to send has not sent yet, and reading would give the leave.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return request;
    }
    request.map(|body| Body::new(Lingering(Some(body))))
}

/// What became of a body on its way: what reads it through a decoder sees only that it broke.
#[derive(Default)]
struct Broke {
    exceeded: AtomicBool,
    fell_silent: AtomicBool,
}

/// Ends after so many bytes, and remembers why it ended.
struct Bounded {
    body: Body,
    left: usize,
    broke: Arc<Broke>,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Err(error)) = &frame
            && is_silence(error)
        {
            self.broke.fell_silent.store(true, Ordering::Release);
        }
        let length = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                Poll::Ready(frame)
            }
            None => {
                self.broke.exceeded.store(true, Ordering::Release);
                Poll::Ready(Some(Err(axum::Error::new("the body is too long"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether the layer that waits for the body has given up.
fn is_silence(error: &axum::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<TimeoutError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// Refuses a body that is longer as it comes, before it is unpacked, and one of which nothing comes any more.
pub(super) async fn bounded(State(limit): State<usize>, request: Request, next: Next) -> Response {
    if request.body().size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Problem::body_too_large(limit).into_response();
    }
    let broke = Arc::new(Broke::default());
    let bound = |body| Body::new(Bounded { body, left: limit, broke: Arc::clone(&broke) });
    let response = next.run(request.map(bound)).await;
    if broke.exceeded.load(Ordering::Acquire) {
        Problem::body_too_large(limit).into_response()
    } else if broke.fell_silent.load(Ordering::Acquire) {
        Problem::of_status(StatusCode::REQUEST_TIMEOUT, String::new()).into_response()
    } else {
        response
    }
}

/// Codings are words of any case, and gzip has a second name. Several at once are none that we know.
pub(super) async fn name_the_encoding(mut request: Request) -> Request {
    let sent: Vec<_> = request.headers().get_all(header::CONTENT_ENCODING).iter().collect();
    let known = match sent.as_slice() {
        [] => return request,
        [one] if one.as_bytes().eq_ignore_ascii_case(b"gzip") || one.as_bytes().eq_ignore_ascii_case(b"x-gzip") => {
            "gzip"
        }
        [one] if one.as_bytes().eq_ignore_ascii_case(b"identity") => "identity",
        _ => "unknown",
    };
    request.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(known));
    request
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware::from_fn_with_state};
    use futures::{StreamExt, stream};
    use tower::ServiceExt;
    use tower_http::timeout::RequestBodyTimeoutLayer;

    use super::*;

    #[tokio::test]
    async fn a_body_of_which_nothing_comes_any_more_is_too_slow() {
        let routes = Router::new()
            .fallback(async |_: Bytes| "read")
            .layer(from_fn_with_state(100_usize, bounded))
            .layer(RequestBodyTimeoutLayer::new(Duration::from_millis(10)));
        let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]);
        let silent = Body::from_stream(begun.chain(stream::pending()));
        let request = |body| Request::post("/").body(body).unwrap();
        let answer = routes.clone().oneshot(request(silent)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
        let answer = routes.oneshot(request(Body::from("{}"))).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

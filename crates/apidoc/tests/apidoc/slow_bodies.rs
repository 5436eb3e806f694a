//! Bodies that stop or trickle on their way, on a clock that jumps to whatever is waited for.

use crate::types::{Interrupt, NewThing};
use actix_web::ResponseError;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::test::TestRequest;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use apidoc::{Problem, Valid, ValidOr};
use futures::{Stream, StreamExt, stream};
use std::time::Duration;

/// Longer than any body may take.
const PATIENCE: Duration = Duration::from_secs(3600);

type Chunk = Result<Bytes, PayloadError>;

fn request() -> HttpRequest {
    TestRequest::post().insert_header(("content-type", "application/json")).to_http_request()
}

/// One chunk each time `pause` has passed.
fn trickle(chunk: &'static str, pause: Duration) -> impl Stream<Item = Chunk> {
    stream::repeat(chunk).then(move |chunk| async move {
        tokio::time::sleep(pause).await;
        Ok(Bytes::from_static(chunk.as_bytes()))
    })
}

async fn read<T: FromRequest<Error = Problem>>(
    chunks: impl Stream<Item = Chunk> + 'static,
) -> Option<Problem> {
    let mut payload: Payload = Payload::Stream { payload: Box::pin(chunks) };
    tokio::time::timeout(PATIENCE, T::from_request(&request(), &mut payload)).await.unwrap().err()
}

fn assert_too_slow(problem: Option<Problem>) {
    let problem = problem.unwrap();
    assert_eq!(
        (problem.status_code(), problem.error_code()),
        (StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT")
    );
    assert_eq!(problem.error_response().head().connection_type(), ConnectionType::Close);
}

#[actix_web::test]
async fn a_body_that_stops_is_given_up() {
    tokio::time::pause();
    let stopped = || stream::iter([Ok(Bytes::from_static(b"{"))]).chain(stream::pending());
    assert_too_slow(read::<Valid<NewThing>>(stopped()).await);
    assert_too_slow(read::<ValidOr<Interrupt>>(stopped()).await);
}

#[actix_web::test]
async fn a_body_that_trickles_is_given_up() {
    tokio::time::pause();
    assert_too_slow(read::<Valid<NewThing>>(trickle(" ", Duration::from_secs(9))).await);
}

#[actix_web::test]
async fn a_slow_body_is_waited_for() {
    tokio::time::pause();
    let chunks = trickle(r#"{"name":"a"}"#, Duration::from_secs(9)).take(1);
    assert_eq!(read::<Valid<NewThing>>(chunks).await.map(|problem| problem.to_string()), None);
}

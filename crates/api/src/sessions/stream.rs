//! `GET /sessions/{id}/stream`: a session over a WebSocket.

use super::events::WatchQuery;
use crate::{
    ApiState,
    caller::{Watcher, pass::Pass},
    error::problem,
    rate_limit::CallerKey,
    stream::{
        line::Line,
        talk::{Command, Talk, Told},
    },
};
use actix_web::{HttpRequest, http::StatusCode, web::Data};
use apidoc::{BadRequest, Fail, NotFound, PathParams, Problem, Unavailable, Upgrade, ValidQuery};
use domain::{Area, Reach, SessionId};
use paperclip::actix::{api_v2_operation, web::Payload};
use uuid::Uuid;

/// Talk with a session
///
/// First `connected`, then the events after `after`, then what happens. The client may send commands meanwhile, so
/// the session's agent is started ahead of them, as `wake` does.
/// The connection is closed with code 1008 once its credential is not valid any more.
#[api_v2_operation(tags(Streams), operation_id = "streamSession")]
pub async fn stream(
    state: Data<ApiState>,
    watcher: Watcher,
    pass: Pass,
    id: PathParams<Uuid>,
    query: ValidQuery<WatchQuery>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Upgrade<Command, Told>, Fail<(BadRequest, NotFound, Unavailable)>> {
    let (session_id, after) = (SessionId(id.0), query.0.after);
    let watch = state.sessions.watch(&watcher.0, session_id, after).await.map_err(problem)?;
    let (response, session, messages) =
        actix_ws::handle(&request, payload).map_err(|error| no_websocket(&error))?;
    let bytes_max = state.settings.body_bytes_max;
    let talk = Talk {
        sessions: state.sessions.clone(),
        pass,
        limiter: state.limiter.clone().map(|limiter| (limiter, CallerKey::of(&watcher.0))),
        check_interval: state.settings.stream_check_interval,
        session_id,
        line: Line::new(session, state.settings.stream_send_timeout),
        incoming: messages
            .max_frame_size(bytes_max)
            .aggregate_continuations()
            .max_continuation_size(bytes_max),
    };
    if watcher.0.access.allows(Area::Sessions, Reach::Write)
        && let Err(error) = state.sessions.wake(&watcher.0, session_id).await
    {
        tracing::debug!(%session_id, %error, "a watched session is not woken");
    }
    actix_web::rt::spawn(state.streams.track_future(talk.run(watch, after)));
    Ok(Upgrade::new(response))
}

fn no_websocket(error: &actix_web::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "NO_WEBSOCKET", format!("this address speaks WebSocket: {error}"))
}

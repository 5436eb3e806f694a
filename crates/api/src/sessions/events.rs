//! `GET /sessions/{id}/events`: the journal as server-sent events.

use crate::{
    ApiState,
    caller::{Watcher, pass::Pass},
    error::problem,
    stream::{
        event::StreamEvent,
        frames::{self, Follower, Shown},
    },
};
use actix_web::web::Data;
use apidoc::{EventStream, Fail, Header, NotFound, PathParams, RequestHeader, Unavailable, ValidQuery};
use domain::SessionId;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use validator::Validate;

/// Where to begin.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct WatchQuery {
    /// Events after the one of this number; 0 is the session's beginning.
    #[serde(default)]
    pub after: u64,
    /// Read by [`Watcher`]; documented as a way to authenticate.
    #[serde(default, rename = "token")]
    #[schemars(skip)]
    _token: Option<String>,
}

/// The number of the last event a client got before its connection broke.
pub struct LastEventId(u64);

impl RequestHeader for LastEventId {
    const NAME: &'static str = "Last-Event-ID";
    const ABOUT: &'static str = "Number of the last event received; wins over `after`.";
    const LENGTH_MAX: u32 = 20;

    fn parse(value: &str) -> Result<Self, String> {
        value.parse().map(Self).map_err(|_| "is not the number of an event".to_owned())
    }
}

/// Follow a session
///
/// First what is in the journal, then what happens, each event once and in order; `id` is its number. Partial
/// messages have none and are not repeated. A connection that breaks is taken up with `Last-Event-ID` or `after`.
#[api_v2_operation(tags(Streams), operation_id = "watchSession")]
pub async fn watch(
    state: Data<ApiState>,
    watcher: Watcher,
    pass: Pass,
    id: PathParams<Uuid>,
    query: ValidQuery<WatchQuery>,
    last: Header<LastEventId>,
) -> Result<EventStream<StreamEvent>, Fail<(NotFound, Unavailable)>> {
    let after = last.0.map_or(query.0.after, |LastEventId(seq)| seq);
    let watch = state.sessions.watch(&watcher.0, SessionId(id.0), after).await.map_err(problem)?;
    let check_interval = state.settings.stream_check_interval;
    Ok(EventStream::new(frames::of(Follower { watch, shown: Shown::Session, pass, check_interval })))
}

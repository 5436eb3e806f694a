//! A small service with every extractor and every reply.

use crate::types::*;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, WWW_AUTHENTICATE};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use apidoc::{
    Accepted, BadRequest, Conflict, Created, Done, Download, EventStream, Fail, Fetched, Frame, Head, Header,
    Linked, Media, NotFound, OneOf, PathParams, Problem, RequestHeader, SecurityScheme, TooMany, Unavailable,
    Upgrade, Valid, ValidOr, ValidQuery,
};
use paperclip::actix::{OperationModifier, api_v2_operation, web};
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw};
use paperclip::v2::schema::Apiv2Schema;
use std::collections::BTreeMap;
use std::future::{Ready, ready};
use uuid::Uuid;

/// The one thing that exists.
pub(crate) const KNOWN: &str = "0190a000-0000-7000-8000-000000000001";

pub(crate) struct Caller;

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let known = request.headers().get("authorization").is_some_and(|value| value == "Bearer secret");
        ready(known.then_some(Self).ok_or_else(|| {
            Problem::new(StatusCode::UNAUTHORIZED, "TOKEN_MISSING", "send a bearer token")
                .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        }))
    }
}

impl Apiv2Schema for Caller {}

impl OperationModifier for Caller {
    fn update_security(op: &mut DefaultOperationRaw) {
        apidoc::require(op, &["bearer"]);
    }
    fn update_parameter(_: &mut DefaultOperationRaw) {}
    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

/// Like `Caller`, for clients that cannot set headers.
pub(crate) struct Watcher;

impl FromRequest for Watcher {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self))
    }
}

impl Apiv2Schema for Watcher {}

impl OperationModifier for Watcher {
    fn update_security(op: &mut DefaultOperationRaw) {
        apidoc::require(op, &["bearer", "token"]);
    }
    fn update_parameter(_: &mut DefaultOperationRaw) {}
    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

pub(crate) struct IdempotencyKey(String);

impl RequestHeader for IdempotencyKey {
    const NAME: &'static str = "Idempotency-Key";
    const ABOUT: &'static str = "Repeats with one key have one effect.";
    const LENGTH_MAX: u32 = 16;

    fn parse(value: &str) -> Result<Self, String> {
        if value.is_empty() { Err("empty".to_owned()) } else { Ok(Self(value.to_owned())) }
    }
}

pub(crate) struct Archive;

impl Media for Archive {
    const TYPES: &'static [&'static str] = &["application/zstd", "application/gzip"];
}

fn thing(id: ThingId, name: &str) -> Thing {
    Thing { id, name: name.to_owned(), shade: None, blocks: vec![], labels: vec![] }
}

fn known(id: ThingId) -> Result<ThingId, Problem> {
    if id.0.to_string() == KNOWN {
        return Ok(id);
    }
    Err(Problem::new(StatusCode::NOT_FOUND, "THING_NOT_FOUND", "no such thing"))
}

/// Make a thing
///
/// It is there at once.
#[api_v2_operation(tags(Things), operation_id = "createThing")]
async fn create(
    _caller: Caller,
    key: Header<IdempotencyKey>,
    body: Valid<NewThing>,
) -> Result<Created<Thing>, Fail<(Conflict, TooMany)>> {
    let new = body.0;
    if key.0.is_some_and(|key| key.0 == "busy") {
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "BUSY", "no free slot")
            .retry_after(7)
            .into());
    }
    let id = ThingId(Uuid::nil());
    let made = Thing { shade: new.shade, blocks: new.blocks, labels: new.labels, ..thing(id, &new.name) };
    Ok(Created::at(made, format!("/things/{}", id.0)))
}

/// List things
#[api_v2_operation(tags(Things), operation_id = "listThings")]
async fn list(_caller: Caller, query: ValidQuery<ListThings>) -> Result<Fetched<Page<Thing>>, Fail<()>> {
    let next_cursor = serde_json::to_string(&query.0).ok();
    Ok(Fetched::new(Page { items: vec![], next_cursor }))
}

/// Read a thing
#[api_v2_operation(tags(Things), operation_id = "getThing")]
async fn get(_caller: Caller, id: PathParams<ThingId>) -> Result<Fetched<Thing>, Fail<(NotFound,)>> {
    Ok(Fetched::new(thing(known(id.0)?, "known")))
}

/// Delete a thing
#[api_v2_operation(tags(Things), operation_id = "deleteThing")]
async fn delete(_caller: Caller, id: PathParams<ThingId>) -> Result<Done, Fail<(NotFound,)>> {
    known(id.0)?;
    Ok(Done)
}

/// Interrupt a thing
#[api_v2_operation(tags(Things), operation_id = "interruptThing")]
async fn interrupt(
    _caller: Caller,
    id: PathParams<ThingId>,
    body: ValidOr<Interrupt>,
) -> Result<Fetched<Interrupt>, Fail<(NotFound,)>> {
    known(id.0)?;
    Ok(Fetched::new(body.0))
}

type Answering = OneOf<Fetched<Answer>, OneOf<Accepted<Receipt>, EventStream<Happening>>>;

/// Ask a thing
#[api_v2_operation(tags(Things), operation_id = "askThing")]
async fn ask(
    _caller: Caller,
    id: PathParams<ThingId>,
    body: Valid<Question>,
) -> Result<Answering, Fail<(NotFound, Unavailable)>> {
    known(id.0)?;
    match body.0.manner {
        Manner::Waiting => Ok(OneOf::This(Fetched::new(Answer { text: "yes".to_owned() }))),
        Manner::Later => Ok(OneOf::That(OneOf::This(Accepted::at(Receipt { turn: 1 }, "/turns/1")))),
        Manner::Streaming => {
            let block = Block::Text { text: "yes".to_owned() };
            let frames = [
                Frame::event(1, "block", Happening::Block { block }),
                Frame::comment("still here"),
                Frame::event(2, "finished", Happening::Finished),
            ];
            Ok(OneOf::That(OneOf::That(EventStream::new(futures::stream::iter(frames)))))
        }
        Manner::Missing => Err(Problem::of(StatusCode::NOT_FOUND).into()),
        Manner::Conflicting => Err(Problem::of(StatusCode::CONFLICT).into()),
    }
}

/// Read the history
#[api_v2_operation(tags(Things), operation_id = "getHistory")]
async fn history(
    _caller: Caller,
    id: PathParams<ThingId>,
) -> Result<Linked<Fetched<Vec<Thing>>>, Fail<(NotFound,)>> {
    let found = known(id.0)?;
    Ok(Linked::next(Fetched::new(vec![thing(found, "old")]), Some("/things?cursor=2")))
}

/// List turns
#[api_v2_operation(tags(Things), operation_id = "listTurns")]
async fn turns(
    _caller: Caller,
    id: PathParams<ThingId>,
) -> Result<Fetched<Page<Receipt>>, Fail<(NotFound,)>> {
    known(id.0)?;
    Ok(Fetched::new(Page { items: vec![Receipt { turn: 1 }], next_cursor: None }))
}

/// Read one part
#[api_v2_operation(tags(Things), operation_id = "getPart")]
async fn part(
    _caller: Caller,
    path: PathParams<(ThingId, u8)>,
) -> Result<Fetched<Vec<Block>>, Fail<(NotFound,)>> {
    let (id, number) = path.0;
    known(id)?;
    Ok(Fetched::new(vec![Block::Text { text: number.to_string() }]))
}

/// Download a file
#[api_v2_operation(tags(Things), operation_id = "getFile")]
async fn file(
    _caller: Caller,
    path: PathParams<(ThingId, String)>,
) -> Result<Download<Archive>, Fail<(NotFound,)>> {
    known(path.0.0)?;
    Ok(Download::new(HttpResponse::Ok().body(path.0.1)))
}

/// Talk to a thing
#[api_v2_operation(tags(Things), operation_id = "talkToThing")]
async fn talk(
    _watcher: Watcher,
    id: PathParams<ThingId>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<Upgrade<Say, Happening>, Fail<(BadRequest, NotFound)>> {
    known(id.0)?;
    let (response, _session, _frames) = actix_ws::handle(&request, payload)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "NO_WEBSOCKET", error.to_string()))?;
    Ok(Upgrade::new(response))
}

/// Say that the service is there
#[api_v2_operation(tags(Health), operation_id = "getHealth")]
async fn health() -> Result<Fetched<Answer>, Fail<()>> {
    Ok(Fetched::new(Answer { text: "there".to_owned() }))
}

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    let things = web::scope("/things")
        .service(web::resource("").route(web::get().to(list)).route(web::post().to(create)))
        .service(web::resource("/{id}").route(web::get().to(get)).route(web::delete().to(delete)))
        .service(web::resource("/{id}/interrupt").route(web::post().to(interrupt)))
        .service(web::resource("/{id}/ask").route(web::post().to(ask)))
        .service(web::resource("/{id}/history").route(web::get().to(history)))
        .service(web::resource("/{id}/turns").route(web::get().to(turns)))
        .service(web::resource("/{id}/parts/{part}").route(web::get().to(part)))
        .service(web::resource("/{id}/files/{path:.*}").route(web::get().to(file)))
        .service(web::resource("/{id}/stream").route(web::get().to(talk)));
    config.service(things).service(web::resource("/health").route(web::get().to(health)));
}

pub(crate) fn head() -> Head {
    Head {
        title: "Demo".to_owned(),
        version: "1.0.0".to_owned(),
        description: "Things.".to_owned(),
        security: vec![
            ("bearer", SecurityScheme::Bearer { about: "A token." }),
            ("token", SecurityScheme::Query { parameter: "token", about: "For browsers." }),
        ],
        tags: vec![("Things", "Make and ask things."), ("Health", "For probes.")],
        parameters: vec![("after", "Only those after this one.")],
        samples: vec![("name", serde_json::json!("anvil"))],
    }
}

//! Which state of a thing a client has seen: `ETag` in answers, `If-None-Match` and `If-Match` in requests (RFC 9110).

use crate::request::LISTED_MAX;
use actix_web::{
    FromRequest, HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    dev::Payload,
    http::{
        Method, StatusCode,
        header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH},
    },
};
use apidoc::{Invalid, PreconditionFailed, Problem, ResponseHeader, Violation, With};
use domain::{EntityTag, Expected};
use paperclip::{
    actix::OperationModifier,
    v2::{
        models::{DataType, DefaultOperationRaw, DefaultSchemaRaw, Either, Parameter, ParameterIn},
        schema::Apiv2Schema,
    },
};
use std::{
    collections::BTreeMap,
    fmt::Debug,
    future::{Ready, ready},
};

/// RFC 9110: the state of the thing.
#[derive(Debug)]
pub struct ETag;

impl ResponseHeader for ETag {
    const NAME: &'static str = "ETag";
    const ABOUT: &'static str = "The state of the thing, for `If-Match` and `If-None-Match` (RFC 9110).";
}

/// A reply about a thing, with its state. A client that has this state gets 304 and nothing else.
#[derive(Debug)]
pub struct Tagged<R> {
    reply: R,
    tag: EntityTag,
    /// Whether the tag changes with all that the reply tells.
    is_whole: bool,
}

impl<R> Tagged<R> {
    /// A reply that tells what `thing` is.
    pub fn new(reply: R, thing: &impl Debug) -> Self {
        Self { reply, tag: EntityTag::of(thing), is_whole: true }
    }

    /// A reply that tells more than what of it can be edited, such as what was spent of a budget: it is always given.
    pub fn editable(reply: R, thing: &impl Debug) -> Self {
        Self { is_whole: false, ..Self::new(reply, thing) }
    }
}

impl<R: Responder> Responder for Tagged<R> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let value = HeaderValue::try_from(format!("\"{}\"", self.tag));
        let reads = [Method::GET, Method::HEAD].contains(request.method());
        let known = reads && self.is_whole && is_known(request.headers(), self.tag);
        let mut response = if known {
            HttpResponse::new(StatusCode::NOT_MODIFIED)
        } else {
            self.reply.respond_to(request).map_into_boxed_body()
        };
        if let Ok(value) = value {
            response.headers_mut().insert(ETAG, value);
        }
        response
    }
}

impl<R: OperationModifier> Apiv2Schema for Tagged<R> {}

impl<R: OperationModifier> OperationModifier for Tagged<R> {
    fn update_parameter(_: &mut DefaultOperationRaw) {}

    fn update_response(op: &mut DefaultOperationRaw) {
        With::<R, ETag>::update_response(op);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

/// In which states a thing may be changed, by `If-Match`; without it, in any. The thing's store compares.
#[derive(Debug)]
pub struct IfMatch(pub Expected);

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(expected(request.headers()).map(Self))
    }
}

impl Apiv2Schema for IfMatch {}

impl OperationModifier for IfMatch {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        op.parameters.push(Either::Right(Parameter {
            in_: ParameterIn::Header,
            name: "If-Match".to_owned(),
            description: Some(
                "Goes on only if the thing is in this state, as its `ETag` names it.".to_owned(),
            ),
            data_type: Some(DataType::String),
            max_length: Some(1024),
            ..Default::default()
        }));
        apidoc::document::<PreconditionFailed>(op);
        apidoc::document::<Invalid>(op);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    let Some(listed) = listed(headers, &IF_MATCH) else { return Ok(Expected::ANY) };
    if listed.len() > LISTED_MAX || listed.iter().any(|item| !is_tag(item)) {
        let message = "must be `*`, or entity tags in quotes, between commas";
        return Err(Problem::invalid(vec![Violation::new("#If-Match", "invalid", message)]));
    }
    if listed.iter().any(|item| item == "*") {
        return Ok(Expected::ANY);
    }
    // A weak tag matches nothing, and neither does one that is not ours.
    Ok(Expected::one_of(listed.iter().filter_map(|item| strong(item)).collect()))
}

/// Whether the client has this state. A weak tag counts here, as proxies weaken tags of what they compress.
fn is_known(headers: &HeaderMap, tag: EntityTag) -> bool {
    let listed = listed(headers, &IF_NONE_MATCH).unwrap_or_default();
    let is_this = |item: &String| item == "*" || strong(item.strip_prefix("W/").unwrap_or(item)) == Some(tag);
    listed.iter().take(LISTED_MAX).any(is_this)
}

/// What a header lists, over all of its lines; `None` when it is not there.
fn listed(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let mut values = headers.get_all(name).peekable();
    values.peek()?;
    let mut items = Vec::new();
    for value in values {
        let line = String::from_utf8_lossy(value.as_bytes());
        items.extend(line.split(',').map(|item| item.trim().to_owned()));
    }
    Some(items)
}

fn is_tag(item: &str) -> bool {
    let opaque = item.strip_prefix("W/").unwrap_or(item);
    item == "*" || opaque.len() >= 2 && opaque.starts_with('"') && opaque.ends_with('"')
}

fn strong(item: &str) -> Option<EntityTag> {
    item.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn if_match_is_read_as_the_rfc_says() {
        let tag = EntityTag::of(&1);
        let quoted = format!("\"{tag}\"");
        let of = |values: &[&str]| expected(&headers(&IF_MATCH, values)).map_err(|_| ());
        assert_eq!(of(&[]), Ok(Expected::ANY));
        assert_eq!(of(&["*"]), Ok(Expected::ANY));
        assert_eq!(of(&[&quoted]), Ok(Expected::one_of(vec![tag])));
        assert_eq!(of(&["\"other\"", &format!("{quoted}, \"more\"")]), Ok(Expected::one_of(vec![tag])));
        assert_eq!(of(&[&format!("W/{quoted}")]), Ok(Expected::one_of(vec![])), "weak ones never match");
        for bad in ["", "bare", "\"open", "\"a\",,"] {
            assert_eq!(of(&[bad]), Err(()), "{bad:?}");
        }
    }

    #[test]
    fn if_none_match_takes_weak_tags_too() {
        let tag = EntityTag::of(&1);
        let of = |value: &str| is_known(&headers(&IF_NONE_MATCH, &[value]), tag);
        assert!(of("*") && of(&format!("\"{tag}\"")) && of(&format!("\"x\", W/\"{tag}\"")));
        assert!(!of("\"x\"") && !of(&tag.to_string()));
        assert!(!is_known(&HeaderMap::new(), tag));
    }
}

//! Request headers that an operation reads, such as `Idempotency-Key`.

use crate::failure::{Invalid, document};
use crate::problem::Problem;
use crate::record;
use crate::violation::Violation;
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DataType, DefaultOperationRaw, DefaultSchemaRaw, Parameter, ParameterIn};
use paperclip::v2::schema::Apiv2Schema;
use std::collections::BTreeMap;
use std::future::{Ready, ready};

/// A request header as a type.
pub trait RequestHeader: Sized + 'static {
    /// Name as the document spells it, such as `Idempotency-Key`.
    const NAME: &'static str;
    /// What the document says about it.
    const ABOUT: &'static str;
    /// Longest accepted value, in bytes.
    const LENGTH_MAX: u32;

    /// Reads a value of at most `LENGTH_MAX` visible ASCII characters; the error says what is wrong.
    fn parse(value: &str) -> Result<Self, String>;
}

/// A request header, or `None` when it is absent; 422 names a bad one as `#Name`.
#[derive(Debug)]
pub struct Header<H>(pub Option<H>);

impl<H: RequestHeader> FromRequest for Header<H> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request).map(Self))
    }
}

fn read<H: RequestHeader>(request: &HttpRequest) -> Result<Option<H>, Problem> {
    let bad = |code: &str, message: String| {
        Problem::invalid(vec![Violation::new(format!("#{}", H::NAME), code, message)])
    };
    let mut values = request.headers().get_all(H::NAME);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad("duplicate", "the header is there more than once".to_owned()));
    }
    let text = value.to_str().map_err(|_| bad("type", "not visible ASCII".to_owned()))?;
    if text.len() > H::LENGTH_MAX as usize {
        return Err(bad("length", format!("length: max {}", H::LENGTH_MAX)));
    }
    H::parse(text).map(Some).map_err(|message| bad("invalid", message))
}

impl<H: RequestHeader> Apiv2Schema for Header<H> {}

impl<H: RequestHeader> OperationModifier for Header<H> {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        record::parameter(op, || Parameter {
            in_: ParameterIn::Header,
            name: H::NAME.to_owned(),
            description: Some(H::ABOUT.to_owned()),
            data_type: Some(DataType::String),
            max_length: Some(H::LENGTH_MAX),
            ..Default::default()
        });
        document::<Invalid>(op);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

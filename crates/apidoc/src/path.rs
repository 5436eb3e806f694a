//! Path parameters.

use crate::failure::{NotFound, document};
use crate::problem::Problem;
use crate::record;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw, ParameterIn};
use paperclip::v2::schema::Apiv2Schema;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::future::{Ready, ready};

/// Path parameters: one value, a tuple in path order, or a struct by name.
///
/// A value that does not parse names nothing that exists: 404, the same as for a well-formed stranger.
#[derive(Debug)]
pub struct PathParams<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for PathParams<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let path = web::Path::<T>::from_request(request, payload).into_inner();
        ready(path.map(|path| Self(path.into_inner())).map_err(|_| Problem::of(StatusCode::NOT_FOUND)))
    }
}

impl<T: JsonSchema> Apiv2Schema for PathParams<T> {}

impl<T: JsonSchema> OperationModifier for PathParams<T> {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        record::parameters::<T>(op, ParameterIn::Path);
        document::<NotFound>(op);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

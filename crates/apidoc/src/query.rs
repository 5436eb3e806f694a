//! Query strings, parsed and validated.

use crate::failure::{Invalid, document};
use crate::problem::Problem;
use crate::record;
use crate::violation::{self, Part};
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw, ParameterIn};
use paperclip::v2::schema::Apiv2Schema;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::future::{Ready, ready};
use validator::Validate;

/// The query string as a struct; 422 names each bad parameter as `?name`.
///
/// A repeated parameter fills a `Vec`. An `Option` is absent or a value, never the word null.
#[derive(Debug)]
pub struct ValidQuery<T>(pub T);

impl<T: DeserializeOwned + Validate> FromRequest for ValidQuery<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request.query_string()).map(Self))
    }
}

fn parse<T: DeserializeOwned + Validate>(query: &str) -> Result<T, Problem> {
    let form = serde_html_form::Deserializer::from_bytes(query.as_bytes());
    let value: T = serde_path_to_error::deserialize(form).map_err(|error| {
        Problem::invalid(vec![violation::of_parse(Part::Query, error.path(), &error.inner().to_string())])
    })?;
    value.validate().map_err(|errors| Problem::invalid(violation::of_rules(Part::Query, &errors)))?;
    Ok(value)
}

impl<T: JsonSchema> Apiv2Schema for ValidQuery<T> {}

impl<T: JsonSchema> OperationModifier for ValidQuery<T> {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        record::parameters::<T>(op, ParameterIn::Query);
        document::<Invalid>(op);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

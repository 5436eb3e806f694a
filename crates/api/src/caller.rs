//! Who asks: credentials are checked before anything else of a request is read.

pub mod pass;

use self::pass::Pass;
use crate::{ApiState, error, health, metrics_page, request};
use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{Method, StatusCode, header},
    middleware::Next,
    web::Data,
};
use apidoc::Problem;
use domain::{Access, Role};
use paperclip::{
    actix::OperationModifier,
    v2::{
        models::{DefaultOperationRaw, DefaultSchemaRaw},
        schema::Apiv2Schema,
    },
};
use std::{
    collections::BTreeMap,
    future::{Ready, ready},
    time::Duration,
};
use tokio::time::timeout;

/// How long a probe of the health waits for its credential to be checked.
const HEALTH_PATIENCE: Duration = Duration::from_secs(1);

/// Names of the security schemes in the document.
pub const BEARER: &str = "bearer";
pub const TOKEN: &str = "token";

/// The caller, from the `Authorization` header. Must be a handler's first extractor that can fail, so that a
/// stranger learns nothing but 401. A credential that only reads is refused by any method but GET and HEAD.
#[derive(Debug)]
pub struct Caller(pub domain::Caller);

/// The caller of a stream, which may also come from `?token=`: browsers cannot set headers there.
#[derive(Debug)]
pub struct Watcher(pub domain::Caller);

/// Whether an admin asks, for what everybody may ask and admins are told more of. It never refuses: a credential that is
/// wrong, or that nobody can check while the store is away, is as good as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    All,
    Outcomes,
}

/// What checking a request's credential gave, and where the credential was.
struct Checked {
    place: Place,
    outcome: Result<domain::Caller, Problem>,
    /// None when the credential was not even readable.
    pass: Option<Pass>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Query,
}

/// Checks the credential a request carries, if it carries one. It runs before the extractors because those run side
/// by side: a stranger's body would be read while the store is asked who they are.
pub async fn check_credential(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    // A scraper's token is no credential of the API, and the store need not be asked about it.
    if request.path() != metrics_page::PATH
        && let Some((place, credential)) = credential(&request)
        && let Some(state) = request.app_data::<Data<ApiState>>().cloned()
    {
        let accounts = state.accounts.clone();
        let source = request::source(request.request());
        let pass = credential.map(|credential| Pass { accounts, credential: credential.into(), source });
        let outcome = match &pass {
            Some(pass) if health::is_about(request.path()) => {
                // Health is asked when the store is away, and must not wait for it.
                let checked = timeout(HEALTH_PATIENCE, pass.authenticate()).await;
                checked
                    .map_or_else(|_| Err(error::credentials_missing()), |known| known.map_err(error::problem))
            }
            Some(pass) => pass.authenticate().await.map_err(error::problem),
            None => Err(error::unauthenticated("CREDENTIALS_REFUSED", "send Authorization: Bearer <token>")),
        };
        request.extensions_mut().insert(Checked { place, outcome, pass });
    }
    next.call(request).await
}

/// Where the request has a credential, and the credential if it is a readable one.
fn credential(request: &ServiceRequest) -> Option<(Place, Option<String>)> {
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        let bearer = value.to_str().ok().and_then(|text| {
            let (scheme, credential) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim().to_owned())
        });
        return Some((Place::Header, bearer));
    }
    let mut pairs = url::form_urlencoded::parse(request.query_string().as_bytes());
    pairs.find(|(name, _)| name == TOKEN).map(|(_, value)| (Place::Query, Some(value.into_owned())))
}

fn caller(request: &HttpRequest, accepted: &[Place]) -> Result<domain::Caller, Problem> {
    let extensions = request.extensions();
    let checked = extensions.get::<Checked>().filter(|checked| accepted.contains(&checked.place));
    let caller = checked.ok_or_else(error::credentials_missing)?.outcome.clone()?;
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    match caller.access {
        Access::Write => Ok(caller),
        Access::Read if reads => Ok(caller),
        Access::Read => Err(read_only()),
    }
}

/// 403 for a credential that may only read.
pub fn read_only() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "READ_ONLY", "this API key may only read")
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller(request, &[Place::Header]).map(Self))
    }
}

impl Apiv2Schema for Caller {}

impl OperationModifier for Caller {
    fn update_security(op: &mut DefaultOperationRaw) {
        apidoc::require(op, &[BEARER]);
    }
    fn update_parameter(_: &mut DefaultOperationRaw) {}
    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

impl FromRequest for Watcher {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller(request, &[Place::Header, Place::Query]).map(Self))
    }
}

impl Apiv2Schema for Watcher {}

impl OperationModifier for Watcher {
    fn update_security(op: &mut DefaultOperationRaw) {
        apidoc::require(op, &[BEARER, TOKEN]);
    }
    fn update_parameter(_: &mut DefaultOperationRaw) {}
    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

impl FromRequest for Sees {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let is_admin = caller(request, &[Place::Header]).is_ok_and(|caller| caller.role == Role::Admin);
        ready(Ok(if is_admin { Self::All } else { Self::Outcomes }))
    }
}

impl Apiv2Schema for Sees {}

impl OperationModifier for Sees {
    fn update_parameter(_: &mut DefaultOperationRaw) {}
    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

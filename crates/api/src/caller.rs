//! Who asks: credentials are checked before anything else of a request is read.

pub mod pass;

use self::pass::Pass;
use crate::{ApiState, access, error, health, metrics_page, request};
use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{Extensions, Payload, ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
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
/// stranger learns nothing but 401. A credential that does not reach the address is refused before, see
/// [`access`].
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
    /// Whose it is, whether or not it reaches what was asked for.
    who: Option<domain::Caller>,
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
        let mut pass = credential.map(|credential| Pass::new(accounts, credential, source));
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
        if let (Some(pass), Ok(caller)) = (&mut pass, &outcome) {
            pass.admitted(caller);
        }
        let lack = |caller: &domain::Caller| {
            access::lack(caller, request.method(), request::route(&request).as_deref())
        };
        let who = outcome.as_ref().ok().cloned();
        let outcome = outcome.and_then(|caller| match lack(&caller) {
            None => Ok(caller),
            Some(lack) => Err(out_of_reach(&caller, lack)),
        });
        request.extensions_mut().insert(Checked { place, who, outcome, pass });
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
    checked.ok_or_else(error::credentials_missing)?.outcome.clone()
}

/// Whose credential was checked and lets them do what they ask for, at whatever place it was.
pub fn known(extensions: &Extensions) -> Option<domain::Caller> {
    let checked = extensions.get::<Checked>().filter(|checked| checked.place == Place::Header)?;
    checked.outcome.as_ref().ok().cloned()
}

/// Whose credential was checked, for counting what they ask.
pub fn recognised(extensions: &Extensions) -> Option<domain::Caller> {
    extensions.get::<Checked>()?.who.clone()
}

/// 403 for a credential that does not reach so far.
pub fn out_of_reach(caller: &domain::Caller, lack: Access) -> Problem {
    let forbidden = |code, detail| Problem::new(StatusCode::FORBIDDEN, code, detail);
    match caller.role {
        Role::Viewer if !lack.only_reads() => forbidden("READ_ONLY", "viewers may only read".to_owned()),
        _ if caller.access.only_reads() && !lack.only_reads() => {
            forbidden("READ_ONLY", "this API key may only read".to_owned())
        }
        _ => {
            let scope = lack.to_string();
            forbidden("SCOPE_MISSING", format!("this API key lacks the scope {scope}"))
                .with_member("scope", scope)
        }
    }
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

//! The cookie that a browser keeps while its owner logs in at a provider.

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::COOKIE};
use apidoc::ResponseHeader;
use cookie::{Cookie, SameSite, time::Duration};
use engine::oidc::LOGIN_LIFETIME;
use paperclip::{
    actix::OperationModifier,
    v2::{
        models::{DefaultOperationRaw, DefaultSchemaRaw},
        schema::Apiv2Schema,
    },
};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{Ready, ready},
};

/// Its name over plain HTTP, which is for one machine alone.
const NAME: &str = "steward-oidc";
/// Its name over TLS: browsers take a cookie of this prefix from this very host and over TLS only (RFC 6265bis).
const HOST_NAME: &str = "__Host-steward-oidc";

/// What the browser of a login keeps, if it does.
pub struct Ticket(Vec<Cookie<'static>>);

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket")
    }
}

impl Ticket {
    /// What was given to it; over TLS, only what others cannot have planted there.
    pub fn value(&self, is_over_tls: bool) -> Option<&str> {
        let its = self.0.iter().find(|cookie| cookie.name() == name_of(is_over_tls));
        its.map(Cookie::value)
    }
}

/// The header by which a browser is given a ticket, or is to forget it.
#[derive(Debug)]
pub struct SetTicket;

impl ResponseHeader for SetTicket {
    const NAME: &'static str = "Set-Cookie";
    const ABOUT: &'static str =
        "What the browser keeps until it is back, HttpOnly and sealed; forgotten when it is.";
}

impl SetTicket {
    pub fn to(ticket: String, is_over_tls: bool) -> String {
        cookie(ticket, is_over_tls)
            .max_age(Duration::try_from(LOGIN_LIFETIME).unwrap_or_default())
            .to_string()
    }

    pub fn forgotten(is_over_tls: bool) -> String {
        cookie(String::new(), is_over_tls).max_age(Duration::ZERO).to_string()
    }
}

fn name_of(is_over_tls: bool) -> &'static str {
    if is_over_tls { HOST_NAME } else { NAME }
}

/// Lax: the provider sends the browser back by a link from another site, which Strict would not go with.
fn cookie(value: String, is_over_tls: bool) -> cookie::CookieBuilder<'static> {
    Cookie::build((name_of(is_over_tls), value))
        .path("/")
        .http_only(true)
        .secure(is_over_tls)
        .same_site(SameSite::Lax)
}

impl FromRequest for Ticket {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let headers = request.headers().get_all(COOKIE).filter_map(|value| value.to_str().ok());
        let cookies = headers.flat_map(Cookie::split_parse).filter_map(Result::ok);
        let tickets = cookies.filter(|cookie| [HOST_NAME, NAME].contains(&cookie.name()));
        ready(Ok(Self(tickets.map(Cookie::into_owned).collect())))
    }
}

impl Apiv2Schema for Ticket {}

impl OperationModifier for Ticket {
    fn update_parameter(_: &mut DefaultOperationRaw) {}
    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

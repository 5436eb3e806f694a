//! What let a client in, kept beside its stream: a login can end, and a key be deleted, while a stream is open.

use super::Checked;
use crate::error;
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use apidoc::Problem;
use domain::Source;
use engine::{AccountManager, Error, Revoked};
use paperclip::{
    actix::OperationModifier,
    v2::{
        models::{DefaultOperationRaw, DefaultSchemaRaw},
        schema::Apiv2Schema,
    },
};
use std::{
    collections::BTreeMap,
    fmt,
    future::{Ready, ready},
    sync::Arc,
};

/// A request's credential, to be checked again. It comes after a handler's [`Caller`](super::Caller) or
/// [`Watcher`](super::Watcher), which say whether the credential was in a place where it counts.
#[derive(Clone)]
pub struct Pass {
    accounts: Arc<AccountManager>,
    credential: Arc<str>,
    source: Source,
    /// Who was let in by it.
    admitted: Option<domain::Caller>,
}

/// What is left of a credential.
#[derive(Debug)]
pub enum Standing {
    /// It is good; its holder may have changed.
    Good(domain::Caller),
    /// It lets nobody in any more.
    Refused,
    /// It could not be checked now.
    Unknown(Error),
}

impl fmt::Debug for Pass {
    /// Without the credential, which must not get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").finish_non_exhaustive()
    }
}

impl Pass {
    pub(super) fn new(accounts: Arc<AccountManager>, credential: String, source: Source) -> Self {
        Self { accounts, credential: credential.into(), source, admitted: None }
    }

    pub(super) fn admitted(&mut self, caller: &domain::Caller) {
        self.admitted = Some(caller.clone());
    }

    /// What tells that the credential has to be looked at again, at once rather than some time.
    pub fn revoked(&self) -> Option<Revoked> {
        self.admitted.as_ref().map(|caller| self.accounts.revocations().of(caller.user_id))
    }

    /// Checks the credential as if it came with a new request.
    pub async fn check(&self) -> Standing {
        match self.authenticate().await {
            Ok(caller) => Standing::Good(caller),
            Err(Error::Unauthenticated | Error::AccountDisabled) => Standing::Refused,
            Err(error) => Standing::Unknown(error),
        }
    }

    pub(super) async fn authenticate(&self) -> Result<domain::Caller, Error> {
        let caller = self.accounts.authenticate(&self.credential).await?;
        Ok(domain::Caller { source: self.source.clone(), ..caller })
    }

    /// Whether a stream has to end now. One whose credential cannot be checked goes on until it can: it was let in, and
    /// ending all streams at once would not help a store in trouble.
    pub async fn is_refused(&self) -> bool {
        match self.check().await {
            Standing::Good(caller) => !self.still_reaches(&caller),
            Standing::Refused => true,
            Standing::Unknown(error) => {
                let chain = &error as &dyn std::error::Error;
                tracing::warn!(error = chain, "the credential of an open stream could not be checked");
                false
            }
        }
    }
}

impl Pass {
    /// Whether its holder may still see what they were let in to see.
    fn still_reaches(&self, now: &domain::Caller) -> bool {
        let covers =
            |then: &domain::Caller| now.scope() == then.scope() && now.access.covers(then.access.reading());
        self.admitted.as_ref().is_none_or(covers)
    }
}

/// Waits until the credential has to be looked at again; for ever, if nothing tells.
pub async fn revocation(revoked: &mut Option<Revoked>) {
    match revoked {
        Some(revoked) => revoked.next().await,
        None => std::future::pending().await,
    }
}

impl FromRequest for Pass {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pass = request.extensions().get::<Checked>().and_then(|checked| checked.pass.clone());
        ready(pass.ok_or_else(error::credentials_missing))
    }
}

impl Apiv2Schema for Pass {}

impl OperationModifier for Pass {
    fn update_parameter(_: &mut DefaultOperationRaw) {}
    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

//! Users as admins manage them, and what a user may change of themselves.

use crate::{AccountManager, Error, FieldError, Registrant, Result};
use domain::{Caller, Expected, Page, PageRequest, Role, User, UserId, UserPatch, account::UserPatched};
use monitoring::costs::zone_name;

impl AccountManager {
    /// All users, newest first. Admins only.
    pub async fn users(&self, caller: &Caller, page: &PageRequest) -> Result<Page<User>> {
        only_admins(caller)?;
        Ok(self.store.0.users(page).await?)
    }

    /// One user. Admins only.
    pub async fn user(&self, caller: &Caller, id: UserId) -> Result<User> {
        only_admins(caller)?;
        self.store.0.user(id).await?.ok_or(Error::NotFound("user"))
    }

    /// Makes an account for somebody. Admins only.
    pub async fn add(&self, caller: &Caller, registrant: Registrant, role: Role) -> Result<User> {
        only_admins(caller)?;
        self.add_user(registrant, role, &caller.origin()).await
    }

    /// Changes a user. Admins only.
    pub async fn patch_user(
        &self,
        caller: &Caller,
        id: UserId,
        patch: UserPatch,
        expected: &Expected,
    ) -> Result<User> {
        only_admins(caller)?;
        self.patch(caller, id, patch, expected).await
    }

    /// Changes what everybody may change of their own account: how they are called, and where they live.
    pub async fn patch_me(
        &self,
        caller: &Caller,
        full_name: Option<Option<String>>,
        time_zone: Option<String>,
        expected: &Expected,
    ) -> Result<User> {
        let patch = UserPatch { full_name, time_zone, ..UserPatch::default() };
        self.patch(caller, caller.user_id, patch, expected).await
    }

    async fn patch(
        &self,
        caller: &Caller,
        id: UserId,
        patch: UserPatch,
        expected: &Expected,
    ) -> Result<User> {
        let time_zone = patch.time_zone.as_deref().map(checked_zone).transpose()?;
        let patch = UserPatch { time_zone, ..patch };
        match self.store.0.patch_user(id, &patch, expected, self.clock.now(), &caller.origin()).await? {
            UserPatched::Patched(user) => {
                self.revocations.note(id);
                Ok(*user)
            }
            UserPatched::NoUser => Err(Error::NotFound("user")),
            UserPatched::Erased => Err(Error::Forbidden("this account was removed and is nobody's")),
            UserPatched::LastAdmin => Err(Error::LastAdmin),
        }
    }
}

/// The zone as it is spelled, or why there is none of that name.
pub(crate) fn checked_zone(name: &str) -> Result<String> {
    zone_name(name).map_err(|_| {
        let message =
            format!("no time zone is called {name:?}; use a name of the IANA such as Europe/Berlin");
        Error::Invalid(vec![FieldError::new("/time_zone", "time_zone", message)])
    })
}

fn only_admins(caller: &Caller) -> Result<()> {
    match caller.role {
        Role::Admin => Ok(()),
        Role::Member | Role::Viewer => Err(Error::Forbidden("only admins manage people")),
    }
}

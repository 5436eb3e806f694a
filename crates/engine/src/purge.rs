//! Removing sessions and people for good, with everything that is kept of them.

use crate::{AccountManager, Error, Result, SessionManager};
use domain::{
    Caller, Expected, PageRequest, Role, Scope, SessionId, UserId, account::UserErased, ports::Purged,
    session::SessionFilter,
};

/// Sessions of a user that are looked up at a time.
const SESSIONS_AT_A_TIME: u32 = 100;

impl SessionManager {
    /// Ends a session, if it has not ended, and removes all that is kept of it, apart from what it cost.
    pub async fn purge(&self, caller: &Caller, id: SessionId) -> Result<()> {
        self.purge_if(caller, id, &Expected::ANY).await
    }

    /// The same with a session in one of these states.
    pub async fn purge_if(&self, caller: &Caller, id: SessionId, expected: &Expected) -> Result<()> {
        self.terminate_if(caller, id, expected).await?;
        let now = self.inner.clock.now();
        match self.inner.stores.sessions.purge(id, now, &caller.origin()).await? {
            Purged::Purged => Ok(()),
            Purged::Refused(status) => Err(Error::WrongState(status)),
            Purged::NoSession => Err(Error::NotFound("session")),
        }
    }

    /// Removes every session of a user; for admins. What is left after a failure, the next call removes.
    pub async fn purge_all_of(&self, caller: &Caller, user: UserId) -> Result<()> {
        admits(caller)?;
        let page = PageRequest::first(SESSIONS_AT_A_TIME);
        loop {
            let scope = Scope::Owner(user);
            let sessions = self.inner.stores.sessions.list(scope, &SessionFilter::default(), &page).await?;
            if sessions.items.is_empty() {
                return Ok(());
            }
            for session in sessions.items {
                match self.purge(caller, session.id).await {
                    Ok(()) | Err(Error::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

impl AccountManager {
    /// Makes a user nobody and ends their logins; for admins, and not for themselves. The last admin stays one.
    pub async fn erase(&self, caller: &Caller, user: UserId, expected: &Expected) -> Result<()> {
        admits(caller)?;
        if caller.user_id == user {
            return Err(Error::Forbidden("an admin cannot remove their own account"));
        }
        match self.store.0.erase_user(user, expected, self.clock.now(), &caller.origin()).await? {
            UserErased::Erased => {
                self.revocations.note(user);
                Ok(())
            }
            UserErased::NoUser => Err(Error::NotFound("user")),
            UserErased::LastAdmin => Err(Error::LastAdmin),
        }
    }
}

fn admits(caller: &Caller) -> Result<()> {
    match caller.role {
        Role::Admin => Ok(()),
        Role::Member | Role::Viewer => Err(Error::Forbidden("only admins remove people")),
    }
}

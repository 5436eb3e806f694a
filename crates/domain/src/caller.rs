//! Who is asking, as proven by a credential.

use crate::{Access, Actor, ApiKeyId, FamilyId, Origin, Source, UserId};
use serde::{Deserialize, Serialize};

/// What a user may do at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees and manages everything.
    Admin,
    /// Owns sessions and sees only their own.
    Member,
    /// Sees only their own, and changes nothing of it.
    Viewer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Member, Self::Viewer];

    /// The word for this role on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// What proved the caller's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// An access token of this login.
    Login(FamilyId),
    /// A named API key.
    ApiKey(ApiKeyId),
}

/// A caller whose credential was checked on this very request.
///
/// A value of this type is the proof; use cases take it instead of an id and a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub user_id: UserId,
    pub role: Role,
    pub access: Access,
    pub credential: Credential,
    /// Where this request came from.
    pub source: Source,
}

impl Caller {
    /// Which rows this caller may see; it goes into the query itself.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self.role {
            Role::Admin => Scope::All,
            Role::Member | Role::Viewer => Scope::Owner(self.user_id),
        }
    }

    /// Who does what this request asks for, as the audit log names them.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let user_id = self.user_id;
        let actor = match self.credential {
            Credential::Login(_) => Actor::User { user_id },
            Credential::ApiKey(api_key_id) => Actor::ApiKey { api_key_id, user_id },
        };
        Origin { actor, source: self.source.clone() }
    }
}

/// A restriction that every query for owned things carries, so that a stranger's thing is never loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything: admins and the server itself.
    All,
    /// Only what this user owns.
    Owner(UserId),
}

impl Scope {
    /// Whether a thing of `owner` is inside this scope.
    #[must_use]
    pub fn covers(self, owner: UserId) -> bool {
        match self {
            Self::All => true,
            Self::Owner(user) => user == owner,
        }
    }
}

//! Users and the credentials they hold; secrets appear only as hashes.

use crate::{Access, ApiKeyId, FamilyId, RefreshTokenId, Role, UserId};
use jiff::Timestamp;

/// A person or service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// Lower-cased; unique.
    pub email: String,
    pub username: String,
    pub full_name: Option<String>,
    pub role: Role,
    pub is_active: bool,
    /// The team whose budget their spending counts for as well.
    pub team: Option<String>,
    /// IANA name of the time zone in which their days and months begin.
    pub time_zone: String,
    pub created_at: Timestamp,
    pub last_login_at: Option<Timestamp>,
}

/// What is changed of a user; `None` leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserPatch {
    pub role: Option<Role>,
    pub is_active: Option<bool>,
    pub full_name: Option<Option<String>>,
    pub team: Option<Option<String>>,
    /// The name of a time zone, checked and spelled as the IANA does.
    pub time_zone: Option<String>,
}

/// What came of changing a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserPatched {
    Patched(Box<User>),
    NoUser,
    /// The account is nobody's any more.
    Erased,
    /// Nobody would be left who may do everything.
    LastAdmin,
}

/// What came of making a user nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserErased {
    Erased,
    NoUser,
    /// Nobody would be left who may do everything.
    LastAdmin,
}

impl UserPatch {
    /// The user as this leaves them.
    #[must_use]
    pub fn apply(&self, user: User) -> User {
        User {
            role: self.role.unwrap_or(user.role),
            is_active: self.is_active.unwrap_or(user.is_active),
            full_name: self.full_name.clone().unwrap_or(user.full_name),
            team: self.team.clone().unwrap_or(user.team),
            time_zone: self.time_zone.clone().unwrap_or(user.time_zone),
            ..user
        }
    }

    /// Whether it can make an admin somebody else.
    #[must_use]
    pub fn demotes(&self) -> bool {
        self.role.is_some_and(|role| role != Role::Admin) || self.is_active == Some(false)
    }
}

impl User {
    /// Whether they may do everything now.
    #[must_use]
    pub fn is_active_admin(&self) -> bool {
        self.is_active && self.role == Role::Admin
    }

    /// The name of an account that was erased.
    #[must_use]
    pub fn nobody(id: UserId) -> String {
        format!("erased-{}", id.0.simple())
    }

    /// Whether the account is nobody's.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.username == Self::nobody(self.id)
    }
}

/// A user to be stored, with the password's hash (PHC string).
#[derive(Clone)]
pub struct NewUser {
    pub user: User,
    pub password_hash: String,
}

impl std::fmt::Debug for NewUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewUser").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A named long-lived credential; the secret itself was shown once and is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub user_id: UserId,
    pub name: String,
    /// The first characters of the secret, so that people can tell their keys apart.
    pub prefix: String,
    /// SHA-256 of the secret. The secret has 256 random bits, so a slow hash would add nothing.
    pub secret_sha256: [u8; 32],
    pub access: Access,
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

/// A refresh token as stored; using it twice gives the family away as stolen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    pub id: RefreshTokenId,
    pub family_id: FamilyId,
    pub user_id: UserId,
    /// SHA-256 of the token.
    pub secret_sha256: [u8; 32],
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
}

/// What came of presenting a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// The old token is used up and the new one stands.
    Rotated { user: User, family_id: FamilyId },
    /// The token had been used before: its whole family is now revoked.
    Reused { user_id: UserId },
    /// No such token, or it is expired, revoked, or its user is disabled.
    Refused,
}

//! Who somebody is at an identity provider: issuer and subject together, which nobody else is ever given.

use std::fmt;

/// By what somebody is known again. An e-mail address is not: it can change hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityKey {
    /// The provider, by its issuer identifier.
    pub issuer: String,
    /// The person there.
    pub subject: String,
}

/// What a provider says of somebody who logged in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub key: IdentityKey,
    pub email: Option<ClaimedEmail>,
    pub full_name: Option<String>,
    /// What the claim that roles are made from holds.
    pub groups: Vec<String>,
}

/// An e-mail address, and whether the provider has seen that it is theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedEmail {
    /// In lower case.
    pub address: String,
    pub is_verified: bool,
}

/// A login that was begun at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunLogin {
    /// Where the browser goes.
    pub address: String,
    pub proofs: LoginProofs,
}

/// What shows, once the browser is back, that it is the same login. The browser that began it keeps them, sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginProofs {
    /// Comes back with the browser: the answer belongs to this browser.
    pub state: String,
    /// Comes back in the ID token: the token belongs to this login.
    pub nonce: String,
    /// Goes with the code (PKCE): the code belongs to this login.
    pub code_verifier: String,
}

impl fmt::Debug for LoginProofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginProofs")
    }
}

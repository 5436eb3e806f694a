//! Why nobody was logged in, named for what they can do.

use domain::ports::ProviderError;

/// Longest word of a provider that is repeated.
const WORD_CHARS_MAX: usize = 64;

/// Why nobody was logged in by way of the provider.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// There is no provider; log in with a password.
    #[error("log in by way of a provider: none is set up")]
    Off,
    /// This browser has begun no login, or not here; begin one.
    #[error("go on with a login that this browser has not begun")]
    NotBegun,
    /// It took too long; begin again.
    #[error("go on with a login that was begun too long ago")]
    Expired,
    /// What came back belongs to another login; begin again.
    #[error("go on with an answer to another login")]
    OtherLogin,
    /// The provider, or the person there, said no, in this word.
    #[error("log in: the provider says {0}")]
    Denied(String),
    /// They are not known here, and no accounts are made; ask an admin.
    #[error("find an account of this identity")]
    NoAccount,
    /// An account needs an address, and the provider tells none.
    #[error("make an account without an e-mail address")]
    NoEmail,
    /// Have the address verified at the provider first.
    #[error("make an account for an e-mail address that is not verified")]
    EmailNotVerified,
    /// Somebody has an account of that address or name.
    #[error("make a second account of this e-mail address")]
    EmailTaken,
    /// They are in no group that has a role here; ask whoever gives out groups.
    #[error("find a role for somebody of these groups")]
    NoRole,
    /// The provider does not answer, answers nonsense, or does not stand for them.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// What a provider sent back in place of a code.
#[derive(Debug, thiserror::Error)]
#[error("get a code: the provider says {0}")]
struct NoCode(String);

impl OidcError {
    /// What it means that a browser comes back with this word and without a code (OAuth 2.0, OpenID Connect).
    pub(super) fn of_word(word: Option<&str>) -> Self {
        let is_plain = |word: &&str| {
            (1..=WORD_CHARS_MAX).contains(&word.len())
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let word = word.filter(is_plain).unwrap_or("nothing that can be read");
        match word {
            "access_denied"
            | "login_required"
            | "consent_required"
            | "interaction_required"
            | "account_selection_required" => Self::Denied(word.to_owned()),
            "temporarily_unavailable" | "server_error" => {
                Self::Provider(ProviderError::Unavailable(Box::new(NoCode(word.to_owned()))))
            }
            _ => Self::Provider(ProviderError::Failed(Box::new(NoCode(word.to_owned())))),
        }
    }
}

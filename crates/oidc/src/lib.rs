//! People who log in elsewhere: an OpenID provider behind the port [`domain::ports::IdentityProvider`].
//!
//! [`Provider`] speaks the authorization code flow with PKCE. It finds the provider's endpoints and keys by discovery,
//! when somebody logs in and not before: a server starts without its provider.

mod claims;
mod discovery;
mod http;
mod provider;
mod settings;

pub use provider::Provider;
pub use settings::{Issuer, ProviderSettings, is_safe};

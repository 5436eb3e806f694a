//! `/auth`: logging in and out, and the keys of programs.

pub mod api_keys;
pub mod login;
pub mod logout;
pub mod oidc;
mod ticket;
pub mod user;

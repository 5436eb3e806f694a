//! `/hooks`: HTTP endpoints that are asked or told when something happens in a session.

pub mod create;
pub mod deliveries;
pub mod list;
pub mod one;
pub mod response;
pub mod secret;

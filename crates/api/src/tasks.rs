//! `/tasks`: what is to be done, by hand or when a schedule says so.

pub mod create;
pub mod execute;
pub mod list;
pub mod one;
pub mod response;
pub mod secret;

//! `/session-templates`: what new sessions are to be like, under a name.

pub mod find;
pub mod one;
pub mod response;
pub mod sharing;
pub mod write;

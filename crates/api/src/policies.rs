//! `/policies`: rules of one's own about what agents may do.

pub mod dry_run;
pub mod evaluate;
pub mod list;
pub mod one;
pub mod response;
pub mod schema;
pub mod write;

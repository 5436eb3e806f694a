//! `/reports`: sessions as they were, on record and as files.

pub mod create;
pub mod download;
pub mod list;
pub mod one;
pub mod response;

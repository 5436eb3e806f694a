//! The way from an agent to the Messages API: each agent has a token of its own, the real key stays here, and every
//! request has its money held before it is sent, and is metered and priced before the agent sees its end.

mod agents;
mod ahead;
mod books;
mod gateway;
mod headers;
pub mod limits;
mod meter;
pub mod prices;
mod progress;
mod proxy;
mod reading;
mod refusal;
mod rehearsal;
mod relay;
mod reports;
mod scanner;
mod upstream;

pub use crate::{
    books::UnknownModel,
    gateway::{Gateway, GatewayError, Options},
    prices::{PriceFileError, PriceTable, PriceTableError, Prices, Quote},
    reading::{Reading, Sampling, SamplingKind, Speed},
    reports::REPORTS_PATH,
    scanner::Scanner,
};

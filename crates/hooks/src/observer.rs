//! Bookkeeping: told what became of an event when its hooks have answered, without a say in it.

use crate::HookScope;
use domain::{HookDelivery, HookRun};
use jiff::Timestamp;
use sdk_runtime::{HookEvent, HookInput};

/// An event whose hooks have answered.
#[derive(Debug)]
pub struct Observation<'a> {
    pub scope: &'a HookScope,
    /// As the last hook saw it.
    pub input: &'a HookInput,
    pub runs: &'a [HookRun],
    /// Whether what was about to happen does not.
    pub is_no: bool,
    pub reason: Option<&'a str>,
    pub at: Timestamp,
}

/// What an observer made of an event that concerned it.
#[derive(Debug, Default)]
pub struct Observed {
    /// Messages that are to go out.
    pub deliveries: Vec<HookDelivery>,
}

/// Something that keeps books. It does not wait for anything: what takes time it hands on.
pub trait Observer: Send + Sync {
    /// Its name in the record of runs.
    fn name(&self) -> &'static str;

    /// Events it has to hear of even if no hook does.
    fn events(&self) -> Vec<HookEvent>;

    /// What it made of the event; `None` if that did not concern it.
    fn observe(&self, seen: &Observation<'_>) -> Option<Observed>;
}

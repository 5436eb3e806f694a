//! The sweep where there is no `/proc`: only the agent itself can be killed, by its supervisor.

use std::{collections::BTreeMap, io, time::Duration};

#[derive(Debug, Clone)]
pub(super) struct Mark;

#[derive(Debug, Clone, Default)]
pub(super) struct Known;

impl Mark {
    pub(super) fn new(_key: &str, _value: &str) -> Self {
        Self
    }
}

pub(super) fn remember(_mark: &Mark, _agent_pid: u32, _known: &mut Known) -> io::Result<()> {
    Ok(())
}

pub(super) fn sweep(_mark: &Mark, _known: &mut Known, _bound: Duration) -> io::Result<usize> {
    Ok(0)
}

#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    pub(super) processes: u32,
    pub(super) cpu_time: Duration,
    pub(super) memory_bytes: u64,
    pub(super) sessions: BTreeMap<i32, i32>,
}

pub(super) fn usage(
    _mark: &Mark,
    _agent_pid: u32,
    _known: &mut Known,
    _age_max: Duration,
    _memory: bool,
) -> io::Result<Usage> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn memory_of_agents(_host: &Mark, _agent_key: &str) -> io::Result<Vec<u64>> {
    Err(io::ErrorKind::Unsupported.into())
}

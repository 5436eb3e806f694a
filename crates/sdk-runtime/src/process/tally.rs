//! The tally: adds up what an agent's tree uses, and says when it is too much. Whoever looks also sees new sessions,
//! and has them weigh less.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use super::{
    sweep::{self, Known, Mark, Usage},
    weight::Sessions,
};
use crate::containment::{Exceeded, ProcessLimits};

/// Whose tree is added up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree<'a> {
    pub(super) mark: &'a Mark,
    pub(super) pid: Option<u32>,
}

/// Waits until a sum is over its bound; for ever when there is none. CPU time counts from the first look after
/// `is_restarted` was set, which takes it back. `known` has, afterwards and when this is dropped, at least
/// what it had.
pub(super) async fn exceeded(
    limits: &ProcessLimits,
    tree: Tree<'_>,
    is_restarted: &AtomicBool,
    known: &mut Known,
) -> Exceeded {
    let mut weighed = Sessions::new(limits.niceness);
    let Some(pid) = tree.pid.filter(|_| limits.has_sums() || weighed.is_some()) else {
        return std::future::pending().await;
    };
    let mut looks = interval(limits.look_interval.max(Duration::from_millis(1)));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut not_counted = Duration::ZERO;
    loop {
        looks.tick().await;
        let (mark, mut seen) = (tree.mark.clone(), known.clone());
        let is_memory_wanted = limits.memory_bytes_max.is_some();
        // What another agent's look has found is young enough.
        let age_max = limits.look_interval / 2;
        let looked = tokio::task::spawn_blocking(move || {
            sweep::usage(&mark, pid, &mut seen, age_max, is_memory_wanted).map(|usage| (usage, seen))
        });
        match looked.await {
            Ok(Ok((mut usage, seen))) => {
                *known = seen;
                if let Some(weighed) = &mut weighed {
                    weighed.lower(&usage.sessions);
                }
                if is_restarted.swap(false, Ordering::Relaxed) {
                    not_counted = usage.cpu_time;
                }
                usage.cpu_time = usage.cpu_time.saturating_sub(not_counted);
                if let Some(exceeded) = over(limits, &usage) {
                    return exceeded;
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "the process table could not be read"),
            Err(_) => tracing::warn!("looking through the process table was cut short"),
        }
    }
}

fn over(limits: &ProcessLimits, usage: &Usage) -> Option<Exceeded> {
    if let Some(max) = limits.processes_max.filter(|max| usage.processes > *max) {
        return Some(Exceeded::Processes { used: usage.processes, max });
    }
    if let Some(max) = limits.memory_bytes_max.filter(|max| usage.memory_bytes > *max) {
        return Some(Exceeded::Memory { used: usage.memory_bytes, max });
    }
    let max = limits.cpu_time_max.filter(|max| usage.cpu_time > *max)?;
    Some(Exceeded::CpuTime { used: usage.cpu_time, max })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_sum_has_its_own_bound() {
        let usage =
            Usage { processes: 3, cpu_time: Duration::from_secs(2), memory_bytes: 100, ..Usage::default() };
        let none = ProcessLimits::default();
        assert_eq!(over(&none, &usage), None);
        let just = none
            .clone()
            .with_processes_max(Some(3))
            .with_memory_bytes_max(Some(100))
            .with_cpu_time_max(Some(Duration::from_secs(2)));
        assert_eq!(over(&just, &usage), None, "a bound may be reached");
        let limits = none.clone().with_processes_max(Some(2));
        assert_eq!(over(&limits, &usage), Some(Exceeded::Processes { used: 3, max: 2 }));
        let limits = none.clone().with_memory_bytes_max(Some(99));
        assert_eq!(over(&limits, &usage), Some(Exceeded::Memory { used: 100, max: 99 }));
        let max = Duration::from_secs(1);
        let limits = none.with_cpu_time_max(Some(max));
        assert_eq!(over(&limits, &usage), Some(Exceeded::CpuTime { used: Duration::from_secs(2), max }));
    }
}

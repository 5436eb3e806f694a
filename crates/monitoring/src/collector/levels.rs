//! How much there is of everything: noted in the background by those who know, so that a scrape looks nothing up.

use super::{MetricsCollector, dollars};
use crate::telemetry::Drops;
use domain::{BudgetStatus, MicroUsd, SessionMode, SessionStatus, ports::TelemetrySignal};
use opentelemetry::KeyValue;
use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// The kinds of spenders, as [`domain::Spender::kind`] names them.
const SPENDERS: [&str; 3] = ["user", "team", "session"];

/// What levels are made of.
#[derive(Debug, Default)]
pub(super) struct Levels {
    pub(super) starting: AtomicI64,
    pub(super) trials: AtomicI64,
    /// Totals that others count, as they were told last.
    totals: Mutex<HashMap<(Total, &'static str), u64>>,
}

/// What others count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Total {
    StoreErrors,
    Drops,
}

impl Levels {
    /// By how much a total has grown since it was told last.
    fn since(&self, total: Total, of: &'static str, count: u64) -> u64 {
        let mut known = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        count.saturating_sub(known.insert((total, of), count).unwrap_or_default())
    }
}

/// The agents of this server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AgentLevels {
    /// Sessions with an agent, also those whose agent is only being started.
    pub seats: u64,
    /// Of those, the agents that wait for a prompt.
    pub idle: u64,
}

/// A pool of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLevels {
    pub pool: &'static str,
    pub used: u32,
    pub idle: u32,
    pub max: u32,
}

/// How much of a budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetUse {
    Below50,
    Below80,
    Below100,
    Exhausted,
}

impl BudgetUse {
    const ALL: [Self; 4] = [Self::Below50, Self::Below80, Self::Below100, Self::Exhausted];

    fn as_str(self) -> &'static str {
        match self {
            Self::Below50 => "below_50",
            Self::Below80 => "below_80",
            Self::Below100 => "below_100",
            Self::Exhausted => "exhausted",
        }
    }

    /// Of a budget with a bound.
    fn of(status: &BudgetStatus) -> Option<Self> {
        let limit = i128::from(status.budget?.limit.0);
        let spent = i128::from(status.spent.0) * 100;
        Some(match status {
            status if status.is_exhausted() => Self::Exhausted,
            _ if spent < limit * 50 => Self::Below50,
            _ if spent < limit * 80 => Self::Below80,
            _ => Self::Below100,
        })
    }
}

impl MetricsCollector {
    /// How many agents there are; those that are being started or tried are counted here.
    pub fn note_agents(&self, agents: AgentLevels) {
        let Some(on) = self.on() else { return };
        let level = |count: &AtomicI64| u64::try_from(count.load(Ordering::Relaxed)).unwrap_or_default();
        let (starting, trial) = (level(&on.levels.starting), level(&on.levels.trials));
        let running = agents.seats.saturating_sub(agents.idle).saturating_sub(starting);
        for (state, count) in
            [("starting", starting), ("running", running), ("idle", agents.idle), ("trial", trial)]
        {
            on.meters.instruments.agents.record(count as f64, &[KeyValue::new("state", state)]);
        }
    }

    /// What each agent uses, in bytes.
    pub fn note_agent_memory(&self, agents: &[u64]) {
        let sum: u64 = agents.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes));
        let max = agents.iter().max().copied().unwrap_or_default();
        self.count(|instruments| {
            instruments.agents_memory.record(sum as f64, &[]);
            instruments.agent_memory_max.record(max as f64, &[]);
        });
    }

    /// How many executions of tasks there are, and how long the first that waits could have begun.
    pub fn note_executions(&self, due: u64, waiting: u64, running: u64, oldest_age: Duration) {
        self.count(|instruments| {
            for (state, count) in [("due", due), ("waiting", waiting), ("running", running)] {
                instruments.executions.record(count as f64, &[KeyValue::new("state", state)]);
            }
            instruments.executions_oldest_age.record(oldest_age.as_secs_f64(), &[]);
        });
    }

    /// How many executions this server may work on at a time, and how many it does.
    pub fn note_task_slots(&self, slots: u64, used: u64) {
        self.count(|instruments| {
            for (state, count) in [("max", slots), ("used", used)] {
                instruments.task_slots.record(count as f64, &[KeyValue::new("state", state)]);
            }
        });
    }

    /// How many wait for a slot of this pool, and how long the first has.
    pub fn note_queue(&self, pool: &'static str, depth: usize, oldest_age: Duration) {
        let pool = [KeyValue::new("pool", pool)];
        self.count(|instruments| {
            instruments.queue_depth.record(depth as f64, &pool);
            instruments.queue_oldest_age.record(oldest_age.as_secs_f64(), &pool);
        });
    }

    /// How many sessions there are; kinds that are not named have none.
    pub fn note_sessions(&self, census: &[(SessionMode, SessionStatus, u64)]) {
        let modes = [SessionMode::Interactive, SessionMode::Background, SessionMode::Forked];
        self.count(|instruments| {
            for (mode, status) in
                modes.iter().flat_map(|mode| SessionStatus::ALL.map(|status| (*mode, status)))
            {
                let found = census.iter().find(|(m, s, _)| (*m, *s) == (mode, status));
                let labels = [KeyValue::new("status", status.as_str()), KeyValue::new("mode", mode.as_str())];
                instruments.sessions.record(found.map_or(0, |(_, _, count)| *count) as f64, &labels);
            }
        });
    }

    /// How many questions wait for people, and how long the oldest has.
    pub fn note_approvals(&self, pending: u64, oldest_age: Duration) {
        self.count(|instruments| {
            instruments.approvals_pending.record(pending as f64, &[]);
            instruments.approvals_oldest_age.record(oldest_age.as_secs_f64(), &[]);
        });
    }

    /// What is held for requests under way.
    pub fn note_holds(&self, count: u64, amount: MicroUsd) {
        self.count(|instruments| {
            instruments.budget_holds.record(count as f64, &[]);
            instruments.budget_held.record(dollars(amount), &[]);
        });
    }

    /// Every budget that is watched, as it is now.
    pub fn note_budgets(&self, statuses: &[BudgetStatus]) {
        self.count(|instruments| {
            for kind in SPENDERS {
                let of_kind = || statuses.iter().filter(move |status| status.spender.kind() == kind);
                for used in BudgetUse::ALL {
                    let count = of_kind().filter(|status| BudgetUse::of(status) == Some(used)).count();
                    let labels = [KeyValue::new("kind", kind), KeyValue::new("used", used.as_str())];
                    instruments.budget_spenders.record(count as f64, &labels);
                }
                let left: MicroUsd = of_kind().filter_map(BudgetStatus::remaining).sum();
                instruments.budget_remaining.record(dollars(left), &[KeyValue::new("kind", kind)]);
            }
        });
    }

    /// The pools of connections to the database.
    pub fn note_database(&self, pools: &[PoolLevels]) {
        self.count(|instruments| {
            for PoolLevels { pool, used, idle, max } in pools {
                let of = |state| [KeyValue::new("pool", *pool), KeyValue::new("state", state)];
                instruments.database_connections.record(f64::from(*used), &of("used"));
                instruments.database_connections.record(f64::from(*idle), &of("idle"));
                instruments.database_connections_max.record(f64::from(*max), &[KeyValue::new("pool", *pool)]);
            }
        });
    }

    /// How many errors of this kind the store has told of since the start of the process.
    pub fn note_store_errors(&self, kind: &'static str, total: u64) {
        let Some(on) = self.on() else { return };
        let more = on.levels.since(Total::StoreErrors, kind, total);
        on.meters.instruments.store_errors.add(more, &[KeyValue::new("kind", kind)]);
    }

    /// How many spans, points and log records were lost since the start of the process.
    pub fn note_drops(&self, drops: &Drops) {
        let Some(on) = self.on() else { return };
        for signal in [TelemetrySignal::Traces, TelemetrySignal::Metrics, TelemetrySignal::Logs] {
            let more = on.levels.since(Total::Drops, signal.as_str(), drops.of(signal));
            let labels = [KeyValue::new("signal", signal.as_str())];
            on.meters.instruments.telemetry_dropped.add(more, &labels);
        }
    }

    /// Whether a health check passes, and whether the server is not ready while it fails.
    pub fn note_health(&self, check: &'static str, required: bool, passes: bool) {
        let labels = [KeyValue::new("check", check), KeyValue::new("required", required)];
        self.count(|instruments| instruments.health_check.record(if passes { 1.0 } else { 0.0 }, &labels));
    }
}

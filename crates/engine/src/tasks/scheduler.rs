//! Schedules: every worker looks, and the store lets one of them add what is due.

use super::{TaskManager, template};
use crate::{Result, live::Pool};
use domain::{Execution, ExecutionError, MissedRuns, Schedule, Task, task::Firing};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Tasks looked at in one round.
const TASKS_MAX: u32 = 100;
/// A run that is so late, or later, was missed.
const MISSED_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// Missed runs of a task that are made up for at most, where all are wanted: the latest.
const MADE_UP_MAX: usize = 100;
/// How often the queue is measured.
const LEVELS_INTERVAL: Duration = Duration::from_secs(5);

impl TaskManager {
    pub(super) async fn keep_schedules(&self) {
        loop {
            if let Err(error) = self.run_schedules().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "schedules could not be looked at");
            }
            tokio::time::sleep(self.inner.settings.look_interval).await;
        }
    }

    async fn run_schedules(&self) -> Result<()> {
        if self.inner.sessions.admit_work().is_err() {
            return Ok(());
        }
        let now = self.now();
        for task in self.store().due_tasks(now, TASKS_MAX).await? {
            let Some(firing) = self.firing(&task, now) else { continue };
            if self.store().fire(&firing).await? && !firing.executions.is_empty() {
                self.inner.more.notify_one();
            }
        }
        Ok(())
    }

    fn firing(&self, task: &Task, now: Timestamp) -> Option<Firing> {
        let seen = task.next_run_at?;
        let schedule = task.schedule();
        let Ok(Some(schedule)) = schedule else {
            tracing::error!(task_id = %task.id, "a schedule that cannot be read runs no more");
            return Some(Firing { task: task.id, seen, executions: vec![], next_run_at: None });
        };
        let ticks = ticks(&schedule, seen, now, self.inner.settings.missed_runs);
        let executions = ticks.into_iter().map(|tick| execution(task, tick, now)).collect();
        Some(Firing { task: task.id, seen, executions, next_run_at: schedule.next_after(now) })
    }

    pub(super) async fn keep_levels(&self) {
        loop {
            match self.levels().await {
                Ok(levels) => {
                    let age = levels.oldest_due_at.map(|since| self.now().duration_since(since));
                    let age = age.and_then(|age| Duration::try_from(age).ok()).unwrap_or_default();
                    let metrics = &self.inner.sessions.inner.metrics;
                    metrics.note_executions(levels.due, levels.waiting, levels.running, age);
                    let slots = self.inner.sessions.inner.live.limit(Pool::Background);
                    metrics.note_task_slots(slots as u64, self.inner.mine.count() as u64);
                }
                Err(error) => tracing::debug!(%error, "the queue could not be measured"),
            }
            tokio::time::sleep(LEVELS_INTERVAL).await;
        }
    }
}

fn execution(task: &Task, tick: Timestamp, now: Timestamp) -> Execution {
    let given = serde_json::Map::new();
    match template::render(task, &given) {
        Ok(rendered) => {
            let execution = Execution::new(task, rendered.prompt, rendered.variables, now);
            Execution { due_at: tick, ..execution.of_schedule(tick) }
        }
        Err(error) => {
            let variables = task.spec.default_variables.clone();
            let execution = Execution::new(task, String::new(), variables, now).of_schedule(tick);
            execution.stillborn(ExecutionError::new("TEMPLATE_FAILED", format!("could not {error}")), now)
        }
    }
}

/// The due times between the one that was seen and now for which something is to run, oldest first.
fn ticks(schedule: &Schedule, seen: Timestamp, now: Timestamp, missed: MissedRuns) -> Vec<Timestamp> {
    let latest = schedule.last_until(now).filter(|last| *last > seen).unwrap_or(seen);
    let is_on_time = now.duration_since(latest) < MISSED_AFTER;
    match missed {
        MissedRuns::Skip if !is_on_time => vec![],
        MissedRuns::Skip | MissedRuns::Once => vec![latest],
        MissedRuns::All => {
            let before = |tick: &Timestamp| schedule.last_before(*tick).filter(|last| *last > seen);
            let mut ticks: Vec<_> = std::iter::successors(Some(latest), before).take(MADE_UP_MAX).collect();
            if ticks.len() < MADE_UP_MAX && latest > seen {
                ticks.push(seen);
            }
            ticks.reverse();
            ticks
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-05-01T{text}Z").parse().unwrap()
    }

    #[test]
    fn missed_runs_are_made_up_for_as_was_decided() {
        let hourly = Schedule::parse("0 * * * *", "UTC").unwrap();
        let seen = at("03:00:00");
        let run = |now, missed| ticks(&hourly, seen, at(now), missed);
        for missed in [MissedRuns::Skip, MissedRuns::Once, MissedRuns::All] {
            assert_eq!(run("03:00:00", missed), [seen], "on time, {missed:?}");
            assert_eq!(run("03:00:59", missed), [seen], "nearly, {missed:?}");
        }
        assert_eq!(run("06:30:00", MissedRuns::Skip), []);
        assert_eq!(run("06:00:30", MissedRuns::Skip), [at("06:00:00")], "the last one is on time");
        assert_eq!(run("06:30:00", MissedRuns::Once), [at("06:00:00")]);
        let all = ["03:00:00", "04:00:00", "05:00:00", "06:00:00"].map(at);
        assert_eq!(run("06:30:00", MissedRuns::All), all);
    }

    #[test]
    fn a_long_time_away_is_bounded() {
        let often = Schedule::parse("* * * * *", "UTC").unwrap();
        let ticks = ticks(&often, at("00:00:00"), at("23:00:30"), MissedRuns::All);
        assert_eq!(ticks.len(), MADE_UP_MAX);
        assert_eq!(ticks.last(), Some(&at("23:00:00")));
        assert!(ticks.is_sorted());
    }
}

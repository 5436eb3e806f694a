//! Settings of tasks: what this server does for them, and how.

use domain::MissedRuns;
use engine::TaskSettings;

use super::{parse::number, reader::Reader};

/// What a server does, among those on one database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ServerRole {
    /// Everything.
    #[default]
    All,
    /// Answers requests, and runs the sessions that people talk to. No tasks.
    Api,
    /// Works on tasks and runs their schedules. Answers probes and scrapes, and no other requests.
    Worker,
}

impl ServerRole {
    /// Whether it works on tasks.
    #[must_use]
    pub fn works(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }

    /// Whether it answers requests.
    #[must_use]
    pub fn answers(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }
}

/// How tasks are run here.
#[derive(Debug, Clone, Copy)]
pub struct TasksConfig {
    pub role: ServerRole,
    pub settings: TaskSettings,
}

impl TasksConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let role = reader.value("SERVER_ROLE", "all", |text| match text {
            "all" => Ok(ServerRole::All),
            "api" => Ok(ServerRole::Api),
            "worker" => Ok(ServerRole::Worker),
            _ => Err("all, api or worker".to_owned()),
        });
        let missed = reader.value("TASK_MISSED_RUNS", "once", |text| {
            MissedRuns::parse(text).ok_or_else(|| "skip, once or all".to_owned())
        });
        let running_max = reader.value("TASK_CONCURRENCY_MAX", "0", number(0..=100_000_u32));
        let running_max = running_max?;
        let settings = TaskSettings {
            running_max: (running_max > 0).then_some(running_max),
            missed_runs: missed?,
            ..TaskSettings::default()
        };
        Some(Self { role: role?, settings })
    }
}

//! How often tools and hooks ran, and how long they took.

use super::VERDICT;
use crate::{Observation, Observed, Observer};
use monitoring::{MetricsCollector, ToolOutcome};
use sdk_runtime::HookEvent;
use std::{sync::Arc, time::Duration};

/// Counts into the server's figures.
#[derive(Debug)]
pub struct MetricsHook(pub Arc<MetricsCollector>);

const ENDS_OF_TOOLS: [HookEvent; 2] = [HookEvent::PostToolUse, HookEvent::PostToolUseFailure];

impl Observer for MetricsHook {
    fn name(&self) -> &'static str {
        "metrics"
    }

    fn events(&self) -> Vec<HookEvent> {
        ENDS_OF_TOOLS.to_vec()
    }

    fn observe(&self, seen: &Observation<'_>) -> Option<Observed> {
        for run in seen.runs {
            let took = Duration::from_micros(run.duration_us);
            self.0.record_hook_run(&run.hook_type, run.status.as_str(), took);
            if run.hook_name == VERDICT {
                self.0.record_permission_check(took);
            }
        }
        let outcome = match seen.input.event {
            HookEvent::PostToolUse => ToolOutcome::Completed,
            HookEvent::PostToolUseFailure => ToolOutcome::Failed,
            _ => return None,
        };
        let took = seen.input.raw["duration_ms"].as_f64().map(|ms| ms / 1000.0);
        let took = took.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())?;
        self.0.record_tool_execution(seen.input.tool_name.as_deref().unwrap_or_default(), outcome, took);
        Some(Observed::default())
    }
}

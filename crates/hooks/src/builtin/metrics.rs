//! How often tools and hooks ran, and how long they took.

use crate::{Observation, Observed, Observer};
use monitoring::Durations;
use sdk_runtime::HookEvent;
use std::{sync::Arc, time::Duration};

/// Counts into the server's figures.
#[derive(Debug)]
pub struct MetricsHook(pub Arc<Durations>);

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
            self.0.hook(&run.hook_name, Duration::from_micros(run.duration_us));
        }
        if !ENDS_OF_TOOLS.contains(&seen.input.event) {
            return None;
        }
        let took = seen.input.raw["duration_ms"].as_f64().map(|ms| ms / 1000.0);
        let took = took.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())?;
        self.0.tool(seen.scope.session_id.0, took);
        Some(Observed::default())
    }
}

//! Tells endpoints what happens, as messages that are sent some time soon.

use crate::{Matcher, Observation, Observed, Observer, webhook::message};
use domain::{HookDelivery, HookDeliveryId, HookDeliveryStatus, HookEndpoint};
use sdk_runtime::HookEvent;
use serde_json::json;

/// The endpoints of one session that are told and not asked.
#[derive(Debug)]
pub struct NotificationHook(pub Vec<(Matcher, HookEndpoint)>);

impl Observer for NotificationHook {
    fn name(&self) -> &'static str {
        "notification"
    }

    fn events(&self) -> Vec<HookEvent> {
        self.0
            .iter()
            .flat_map(|(_, endpoint)| &endpoint.event_types)
            .map(|word| word.as_str().into())
            .collect()
    }

    fn observe(&self, seen: &Observation<'_>) -> Option<Observed> {
        let event = seen.input.event.as_str();
        let told = self.0.iter().filter(|(matcher, endpoint)| {
            endpoint.event_types.iter().any(|kind| kind == event)
                && matcher.matches(seen.input.tool_name.as_deref())
        });
        let deliveries: Vec<_> = told
            .map(|(_, endpoint)| HookDelivery {
                id: HookDeliveryId::new(),
                endpoint_id: endpoint.id,
                session_id: Some(seen.scope.session_id),
                event_type: event.to_owned(),
                payload: message(
                    event,
                    seen.at,
                    &json!({
                        "session_id": seen.scope.session_id,
                        "user_id": seen.scope.user_id,
                        "turn_id": seen.scope.turn.get(),
                        "hook_name": endpoint.name,
                        "input": seen.input.raw,
                        "blocked": seen.is_no,
                        "reason": seen.reason,
                    }),
                ),
                status: HookDeliveryStatus::Pending,
                attempts: 0,
                next_attempt_at: Some(seen.at),
                last_attempt_at: None,
                response_status: None,
                error: None,
                created_at: seen.at,
            })
            .collect();
        (!deliveries.is_empty()).then_some(Observed { deliveries })
    }
}

//! What the audit log says of budgets.

use crate::{AuditEvent, Budget, Origin, Spender, audit::Fact};
use jiff::Timestamp;

/// Somebody set a spender's own budget, or removed it (`None`).
#[must_use]
pub fn budget_set(spender: &Spender, budget: Option<Budget>, origin: &Origin, at: Timestamp) -> AuditEvent {
    let action = if budget.is_some() { "budget.set" } else { "budget.removed" };
    let event = AuditEvent::new(action, origin, at).about(spender.kind(), spender.key());
    let event = match spender {
        Spender::Session(id) => event.in_session(*id),
        Spender::User(_) | Spender::Team(_) => event,
    };
    match budget {
        Some(Budget { limit, when_exhausted }) => event
            // As text: there are no fractions here, and a number ends at 4 billion.
            .with("limit_usd", Fact::Text(limit.to_string()))
            .with("when_exhausted", when_exhausted.as_str()),
        None => event,
    }
}

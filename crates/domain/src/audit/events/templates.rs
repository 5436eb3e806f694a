//! What the audit log says of session templates: others may start agents from them.

use crate::{
    Origin,
    audit::{AuditEvent, Fact},
    template::SessionTemplate,
};
use jiff::Timestamp;

/// A template was made.
#[must_use]
pub fn template_created(template: &SessionTemplate, origin: &Origin) -> AuditEvent {
    about_template("template.created", template, origin, template.created_at)
}

/// A template was changed to this.
#[must_use]
pub fn template_changed(template: &SessionTemplate, origin: &Origin, at: Timestamp) -> AuditEvent {
    about_template("template.changed", template, origin, at)
}

/// A template is shared with these from now on.
#[must_use]
pub fn template_shared(template: &SessionTemplate, origin: &Origin, at: Timestamp) -> AuditEvent {
    let users = template.sharing.shared_with.iter().map(ToString::to_string).collect();
    about_template("template.shared", template, origin, at).with("shared_with", Fact::List(users))
}

/// A template was deleted.
#[must_use]
pub fn template_deleted(template: &SessionTemplate, origin: &Origin, at: Timestamp) -> AuditEvent {
    about_template("template.deleted", template, origin, at)
}

fn about_template(
    action: &'static str,
    template: &SessionTemplate,
    origin: &Origin,
    at: Timestamp,
) -> AuditEvent {
    let event = AuditEvent::new(action, origin, at)
        .about("template", template.id)
        .with("owner_id", Fact::Text(template.user_id.to_string()))
        .with("is_public", Fact::Flag(template.sharing.is_public));
    match &template.content.settings.permission_mode {
        Some(mode) => event.with("permission_mode", mode.as_str()),
        None => event,
    }
}

//! Which hooks run, and what endpoints of people may be.

use super::{parse::boolean, reader::Reader};

/// The hooks the operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HooksConfig {
    pub switches: hooks::Switches,
    /// Whether endpoints may have private addresses, and do without TLS.
    pub allow_private_addresses: bool,
}

impl HooksConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let audit = reader.value("ENABLE_AUDIT_HOOK", "true", boolean);
        let metrics = reader.value("ENABLE_METRICS_HOOK", "true", boolean);
        let persistence = reader.value("ENABLE_PERSISTENCE_HOOK", "true", boolean);
        let notification = reader.value("ENABLE_NOTIFICATION_HOOK", "true", boolean);
        let custom = reader.value("ENABLE_CUSTOM_HOOKS", "true", boolean);
        let private = reader.value("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "false", boolean);
        Some(Self {
            switches: hooks::Switches {
                audit: audit?,
                metrics: metrics?,
                persistence: persistence?,
                notification: notification?,
                custom: custom?,
            },
            allow_private_addresses: private?,
        })
    }
}

//! How large a request may be, by address: prompts have pictures in them, and little else is large.

use crate::ApiSettings;

/// What strangers may send is held in memory.
const AUTH_BYTES_MAX: usize = 64 * 1024;
/// Names, terms, addresses: nothing of it is long.
const SMALL_BYTES_MAX: usize = 256 * 1024;

/// Addresses by how they begin, and the largest body of a request to them, in bytes. The first match counts; where none
/// does, it is what the operator allows.
const BODY_BYTES_MAX: &[(&str, usize)] = &[
    ("/api/v1/auth/", AUTH_BYTES_MAX),
    ("/api/v1/hooks", SMALL_BYTES_MAX),
    ("/api/v1/admin/", SMALL_BYTES_MAX),
    ("/api/v1/monitoring/", SMALL_BYTES_MAX),
];

/// The largest body of a request to this path, in bytes.
pub fn body_bytes_max(path: &str, settings: &ApiSettings) -> usize {
    let listed = BODY_BYTES_MAX.iter().find(|(start, _)| path.starts_with(start));
    listed.map_or(settings.body_bytes_max, |(_, bytes)| settings.body_bytes_max.min(*bytes))
}

/// The same as long as the operator's limit is not known, for a part of the routes.
pub fn listed(start: &str) -> usize {
    BODY_BYTES_MAX
        .iter()
        .find(|(listed, _)| listed.trim_end_matches('/') == start)
        .map_or(AUTH_BYTES_MAX, |(_, bytes)| *bytes)
}

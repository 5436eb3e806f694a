//! Whom a collector has to be signed by, and how the server says who it is: files, read once at start.

use super::SenderError;
use crate::telemetry::settings::TlsSettings;
use std::path::Path;

/// What the files have, in PEM.
#[derive(Debug, Default)]
pub(super) struct Tls {
    /// The only ones that are trusted; `None`: those of the system.
    pub(super) authorities: Option<Vec<u8>>,
    pub(super) identity: Option<Identity>,
}

/// A certificate, with those that lead to one that is trusted, and its key.
pub(super) struct Identity {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
}

impl Tls {
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, SenderError> {
        let authorities = settings.certificate.as_deref().map(read).transpose()?;
        if let (Some(pem), Some(path)) = (&authorities, &settings.certificate)
            && !reqwest::Certificate::from_pem_bundle(pem).is_ok_and(|all| !all.is_empty())
        {
            // Clients take a file without any for one that adds nothing, and trust nobody.
            return Err(SenderError::NoCertificate { path: path.display().to_string() });
        }
        let identity = settings
            .client
            .as_ref()
            .map(|client| Ok(Identity { certificate: read(&client.certificate)?, key: read(&client.key)? }));
        Ok(Self { authorities, identity: identity.transpose()? })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SenderError> {
    std::fs::read(path)
        .map_err(|source| SenderError::Certificate { path: path.display().to_string(), source })
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

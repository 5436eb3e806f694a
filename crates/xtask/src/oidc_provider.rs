//! A real OpenID provider for tests: one that is certified as such, installed into the cache folder.

use std::path::PathBuf;

use anyhow::Result;

use crate::{settings::Settings, toolbox};

const PACKAGE: &str = "oidc-provider@9.13.3";
/// Tells tests in which folder it is, for the script that sets it up.
pub(crate) const FOLDER_VARIABLE: &str = "STEWARD_TEST_OIDC_PROVIDER";

/// The folder with the provider in its `node_modules`, installed if it is not there.
pub(crate) fn find_or_install(settings: &Settings) -> Result<PathBuf> {
    toolbox::node(settings, "oidc-provider", &[PACKAGE])
}

//! What tests need and cargo does not build: programs and servers, and the variables by which tests know where they are.

use std::{ffi::OsString, path::Path};

use anyhow::Result;

use crate::{
    bubblewrap, claude, deploy_tools, mcp_server, oidc_provider,
    postgres::{self, Cluster},
    process::Interrupts,
    prometheus,
    s3::S3Server,
    settings::Settings,
};

/// They run until this is dropped.
pub(crate) struct Services {
    variables: Vec<(&'static str, OsString)>,
    _s3: S3Server,
    _cluster: Cluster,
    // Last: Ctrl-C ends cargo, which is in the terminal's group, and then both servers in order.
    _interrupts: Interrupts,
}

impl Services {
    /// Finds or installs the programs, of pinned versions, and starts the servers.
    pub(crate) fn start(root: &Path, settings: &Settings) -> Result<Self> {
        let claude = claude::find_or_install_pinned(settings)?;
        let path = bubblewrap::path_with_bwrap(settings)?;
        let prometheus = prometheus::find_or_unpack(settings)?;
        let deploy_tools = deploy_tools::find_or_install(settings)?;
        let mcp_server = mcp_server::find_or_install(settings)?;
        let oidc_provider = oidc_provider::find_or_install(settings)?;
        let interrupts = Interrupts::catch()?;
        let cluster = Cluster::start(settings)?;
        let s3 = S3Server::start(root, settings)?;
        println!("testing with {}", claude.display());
        let mut variables = vec![
            ("CLAUDE_CLI_PATH", claude.into()),
            ("PATH", path),
            (prometheus::FOLDER_VARIABLE, prometheus.into()),
            (deploy_tools::FOLDER_VARIABLE, deploy_tools.into()),
            (mcp_server::PROGRAM_VARIABLE, mcp_server.into()),
            (oidc_provider::FOLDER_VARIABLE, oidc_provider.into()),
            (postgres::URL_VARIABLE, cluster.url().into()),
            (postgres::RUN_VARIABLE, cluster.runner().into()),
        ];
        variables.extend(s3.variables().map(|(name, value)| (name, value.into())));
        Ok(Self { variables, _s3: s3, _cluster: cluster, _interrupts: interrupts })
    }

    /// For whoever runs tests.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &OsString)> {
        self.variables.iter().map(|(name, value)| (*name, value))
    }
}

//! A jail where there is none to be had: asking for one is an error.

use std::path::PathBuf;

use nix::sys::signal::Signal;
use tokio::process::Child;

use super::sweep::{Known, Mark};
use crate::{containment::Jail, error::Error};

#[derive(Debug, Default)]
pub(super) struct Inside;

impl Inside {
    pub(super) fn prepare(_jail: &Jail, _host_marker: Option<&str>) -> Result<Self, Error> {
        Err(Error::NotContained { why: "there is no bubblewrap for this system".to_owned() })
    }

    pub(super) fn gateway(&self) -> Option<PathBuf> {
        None
    }

    pub(super) fn signal(&self, _signal: Signal) -> Option<()> {
        None
    }
}

pub(super) async fn enter(
    _prepared: Inside,
    _child: &Child,
    _jail: &Jail,
    _mark: &Mark,
    _known: &mut Known,
) -> Result<Inside, Error> {
    Err(Error::NotContained { why: "there is no bubblewrap for this system".to_owned() })
}

//! Limits the kernel holds for each process, set before an agent's first instruction.

use std::io;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

use crate::containment::ProcessLimits;

/// Kinds of limits that can be set.
const KINDS: usize = 5;

/// The limits as the kernel wants them. It is made before the fork, because nothing may be allocated after.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rlimits([Option<(Resource, rlim_t)>; KINDS]);

impl Rlimits {
    pub(super) fn new(limits: &ProcessLimits) -> Self {
        Self([
            limits.process_memory_bytes_max.map(|bytes| (Resource::RLIMIT_DATA, bytes)),
            // A bound below a second would be none: the kernel counts whole ones.
            limits.process_cpu_time_max.map(|time| (Resource::RLIMIT_CPU, time.as_secs().max(1))),
            limits.open_files_max.map(|files| (Resource::RLIMIT_NOFILE, files)),
            limits.file_bytes_max.map(|bytes| (Resource::RLIMIT_FSIZE, bytes)),
            limits.user_threads_max.map(|threads| (Resource::RLIMIT_NPROC, threads)),
        ])
    }

    /// Sets them for this process, and with it for all it starts. It only makes system calls.
    pub(super) fn set(&self) -> io::Result<()> {
        for (resource, max) in self.0.into_iter().flatten() {
            // What the host itself may not have cannot be given; less is what was asked for anyway.
            let (_, hard) = getrlimit(resource)?;
            setrlimit(resource, max.min(hard), max.min(hard))?;
        }
        Ok(())
    }
}

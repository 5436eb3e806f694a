//! Figures of this process, under the names that Prometheus clients of every language use.

use opentelemetry::metrics::Meter;

/// Observes the process whenever somebody reads the instruments.
#[cfg(target_os = "linux")]
pub(super) fn observe(meter: &Meter) {
    use procfs::{
        WithCurrentSystemInfo,
        process::{Process, Stat},
    };

    fn stat() -> Option<Stat> {
        Process::myself().and_then(|process| process.stat()).ok()
    }

    meter
        .u64_observable_gauge("process.resident_memory")
        .with_unit("By")
        .with_description("Resident memory of the server, without its agents.")
        .with_callback(|observer| {
            if let Some(stat) = stat() {
                observer.observe(stat.rss_bytes().get(), &[]);
            }
        })
        .build();
    meter
        .f64_observable_counter("process.cpu")
        .with_unit("s")
        .with_description("CPU time of the server, user and system, without its agents.")
        .with_callback(|observer| {
            if let Some(stat) = stat() {
                let ticks = stat.utime.saturating_add(stat.stime) as f64;
                observer.observe(ticks / procfs::ticks_per_second() as f64, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("process.open_fds")
        .with_description("Open file descriptors of the server.")
        .with_callback(|observer| {
            if let Ok(count) = Process::myself().and_then(|process| process.fd_count()) {
                observer.observe(count as u64, &[]);
            }
        })
        .build();
    let since_boot = |stat: Stat| stat.starttime as f64 / procfs::ticks_per_second() as f64;
    let started = procfs::boot_time_secs().map_or(0.0, |boot| boot as f64) + stat().map_or(0.0, since_boot);
    meter
        .f64_observable_gauge("process.start_time")
        .with_unit("s")
        .with_description("When the server was started, in seconds since 1970.")
        .with_callback(move |observer| observer.observe(started, &[]))
        .build();
}

/// Elsewhere there is no `/proc`.
#[cfg(not(target_os = "linux"))]
pub(super) fn observe(_: &Meter) {}

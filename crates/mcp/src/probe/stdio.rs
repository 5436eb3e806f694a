//! A handshake through pipes: the process is started and contained as the one an agent would start, and ended with
//! everything it started.

use super::{Found, SAID_BYTES_MAX, Surroundings, ask, http::words, too_late};
use crate::Recipe;
use futures::FutureExt;
use sdk_runtime::{Haste, Invocation, Launcher, Transport};
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// Lines of what it wrote on stderr that are told.
const STDERR_LINES_MAX: usize = 10;

/// Starts it, shakes hands and ends it.
pub(super) async fn probe(
    launcher: &dyn Launcher,
    recipe: &Recipe,
    surroundings: &Surroundings,
    timeout: Duration,
) -> Result<Found, String> {
    let Some(command) = &recipe.command else { return Err("has no command".to_owned()) };
    let folder = surroundings.folder.display().to_string();
    let mut env = surroundings.env.clone();
    env.insert("HOME".to_owned(), folder);
    env.extend(recipe.variables());
    let invocation = Invocation::program(
        command,
        recipe.filled_args(),
        &surroundings.folder,
        env,
        surroundings.containment.clone(),
    );
    let invocation = invocation.marked(&surroundings.host_marker);
    let launched = launcher.launch(&invocation).await;
    // When this is given up, the end of `life` ends the process.
    let Transport { stdin, stdout, life } = launched.map_err(|error| format!("did not start: {error}"))?;
    let stdout = stdout.take(SAID_BYTES_MAX as u64);
    // Its end is seen to, whether it answers in time or not.
    let asked = tokio::time::timeout(timeout, ask((stdout, stdin)).boxed()).await;
    life.end(Haste::Now);
    let exit = life.ended().await;
    let mut why = match asked {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(failure)) => words(&failure),
        Err(_) => too_late(timeout),
    };
    if let Some(exceeded) = exit.exceeded {
        why = format!("was ended: {exceeded}");
    }
    let lines: Vec<&str> = exit.stderr_tail.lines().collect();
    let last = lines.get(lines.len().saturating_sub(STDERR_LINES_MAX)..).unwrap_or_default().join("\n");
    Err(if last.trim().is_empty() { why } else { format!("{why}; it wrote: {last}") })
}

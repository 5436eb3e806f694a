//! The writer: whole lines to the agent, one after another, because a torn line is fatal to it.

use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::{mpsc, oneshot},
};

/// A line on its way to the agent.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) bytes: Vec<u8>,
    /// Told when the line is in the pipe; dropped when it never will be.
    pub(crate) written: Option<oneshot::Sender<()>>,
}

/// Room for one line. Whoever wants to write takes it first, so that the driver never waits to write.
pub(crate) type Room = mpsc::OwnedPermit<Line>;

/// Writes lines until `stop` is dropped, then those already queued, then closes the pipe.
pub(crate) async fn run(
    mut stdin: Box<dyn AsyncWrite + Send + Unpin>,
    mut lines: mpsc::Receiver<Line>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut is_stopping = false;
    loop {
        let line = tokio::select! {
            biased;
            _ = &mut stop, if !is_stopping => {
                is_stopping = true;
                lines.close();
                continue;
            }
            line = lines.recv() => line,
        };
        let Some(Line { bytes, written }) = line else {
            break;
        };
        if let Err(error) = write(&mut stdin, &bytes).await {
            tracing::debug!(%error, "the agent closed its stdin");
            break;
        }
        if let Some(written) = written {
            // The sender of the line may have stopped waiting, which changes nothing.
            let _ = written.send(());
        }
    }
    if let Err(error) = stdin.shutdown().await {
        tracing::debug!(%error, "the agent's stdin was closed already");
    }
}

async fn write(stdin: &mut (dyn AsyncWrite + Send + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    stdin.write_all(bytes).await?;
    stdin.flush().await
}

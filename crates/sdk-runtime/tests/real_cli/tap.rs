//! A launcher that keeps what the CLI says, so that a test can count it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use sdk_runtime::{Error, Invocation, Launcher, ProcessLauncher, Transport};
use serde_json::Value;
use tokio::io::{AsyncRead, ReadBuf};

/// Starts real agents and keeps their stdout. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tap(Arc<Mutex<Vec<u8>>>);

impl Tap {
    /// The JSON-RPC methods of all messages for in-process MCP servers, in order, with the server's name.
    pub(crate) fn mcp_methods(&self) -> Vec<String> {
        let said = self.0.lock().unwrap();
        let lines = said.split(|byte| *byte == b'\n');
        let frames = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        frames
            .map(|mut frame| frame["request"].take())
            .filter(|request| request["subtype"] == "mcp_message")
            .map(|request| {
                let method = request["message"]["method"].as_str().unwrap_or_default();
                format!("{} {method}", request["server_name"].as_str().unwrap_or_default())
            })
            .collect()
    }
}

#[async_trait]
impl Launcher for Tap {
    async fn launch(&self, invocation: &Invocation) -> Result<Transport, Error> {
        let mut transport = ProcessLauncher.launch(invocation).await?;
        transport.stdout = Box::new(Tapped { stdout: transport.stdout, said: Arc::clone(&self.0) });
        Ok(transport)
    }
}

struct Tapped {
    stdout: Box<dyn AsyncRead + Send + Unpin>,
    said: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stdout).poll_read(context, buffer))?;
        self.said.lock().unwrap().extend_from_slice(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

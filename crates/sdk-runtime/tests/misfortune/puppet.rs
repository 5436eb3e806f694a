//! A puppet: an agent that does what the test does by hand, where the scripted one is too well-behaved.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use futures::task::AtomicWaker;
use sdk_runtime::{Agent, AgentOptions, Error, Events, Exit, Haste, Invocation, Launcher, Life, Transport};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, DuplexStream},
    sync::{mpsc, watch},
};

/// Size of the pipes, that of a real one.
const PIPE_BYTES: usize = 64 << 10;

/// Launches puppets and hands their strings to the test.
pub(crate) struct Theatre(mpsc::UnboundedSender<Strings>);

/// The strings of one puppet.
pub(crate) struct Strings {
    pub(crate) ears: BufReader<DuplexStream>,
    pub(crate) voice: DuplexStream,
    /// What was wanted of its life.
    pub(crate) haste: watch::Receiver<Option<Haste>>,
}

struct PuppetLife {
    haste: watch::Sender<Option<Haste>>,
}

pub(crate) fn theatre() -> (Theatre, mpsc::UnboundedReceiver<Strings>) {
    let (sender, strings) = mpsc::unbounded_channel();
    (Theatre(sender), strings)
}

#[async_trait]
impl Launcher for Theatre {
    async fn launch(&self, _: &Invocation) -> Result<Transport, Error> {
        let (stdin, ears) = tokio::io::duplex(PIPE_BYTES);
        let (voice, stdout) = tokio::io::duplex(PIPE_BYTES);
        let (haste, wanted) = watch::channel(None);
        self.0.send(Strings { ears: BufReader::new(ears), voice, haste: wanted }).ok().unwrap();
        let life = Box::new(PuppetLife { haste });
        Ok(Transport { stdin: Box::new(stdin), stdout: Box::new(stdout), life })
    }
}

/// It lives until somebody wants its end.
#[async_trait]
impl Life for PuppetLife {
    fn pid(&self) -> Option<u32> {
        None
    }

    fn end(&self, haste: Haste) {
        self.haste.send_modify(|wanted| *wanted = (*wanted).max(Some(haste)));
    }

    async fn ended(&self) -> Exit {
        let mut haste = self.haste.subscribe();
        haste.wait_for(Option::is_some).await.unwrap();
        let mut killed = Exit::default();
        killed.signal = Some(9);
        killed
    }
}

impl Strings {
    /// The next line of the host; `None` when it closed the pipe.
    pub(crate) async fn hear(&mut self) -> Option<Value> {
        let mut line = Vec::new();
        self.ears.read_until(b'\n', &mut line).await.unwrap();
        (!line.is_empty()).then(|| serde_json::from_slice(&line).unwrap())
    }

    pub(crate) async fn say(&mut self, frame: &Value) {
        self.voice.write_all(format!("{frame}\n").as_bytes()).await.unwrap();
    }

    pub(crate) async fn answer(&mut self, request: &Value, response: Value) {
        let response =
            json!({ "subtype": "success", "request_id": request["request_id"], "response": response });
        self.say(&json!({ "type": "control_response", "response": response })).await;
    }

    pub(crate) async fn shake_hands(&mut self) {
        let initialize = self.hear().await.unwrap();
        self.answer(&initialize, json!({ "claude_code_version": "9.9.9" })).await;
    }
}

/// A puppet that has shaken hands.
pub(crate) async fn puppet(options: AgentOptions) -> (Agent, Events, Strings) {
    let (theatre, mut waiting) = theatre();
    let shaking = async {
        let mut strings = waiting.recv().await.unwrap();
        strings.shake_hands().await;
        strings
    };
    let (started, strings) = tokio::join!(Agent::start(&theatre, options), shaking);
    let (agent, events) = started.unwrap();
    (agent, events, strings)
}

/// Puts a valve into the stdin of another launcher's agents.
pub(crate) struct Plumber<L> {
    pub(crate) launcher: L,
    pub(crate) valve: Valve,
}

/// While it is shut, nothing passes.
#[derive(Clone, Default)]
pub(crate) struct Valve {
    is_shut: Arc<AtomicBool>,
    waker: Arc<AtomicWaker>,
}

struct Valved {
    inner: Box<dyn AsyncWrite + Send + Unpin>,
    valve: Valve,
}

impl Valve {
    pub(crate) fn shut(&self, is_shut: bool) {
        self.is_shut.store(is_shut, Ordering::SeqCst);
        self.waker.wake();
    }
}

#[async_trait]
impl<L: Launcher> Launcher for Plumber<L> {
    async fn launch(&self, invocation: &Invocation) -> Result<Transport, Error> {
        let transport = self.launcher.launch(invocation).await?;
        let stdin = Box::new(Valved { inner: transport.stdin, valve: self.valve.clone() });
        Ok(Transport { stdin, ..transport })
    }
}

impl AsyncWrite for Valved {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        self.valve.waker.register(context.waker());
        if self.valve.is_shut.load(Ordering::SeqCst) {
            return std::task::Poll::Pending;
        }
        std::pin::Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

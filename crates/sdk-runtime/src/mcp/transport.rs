//! The transport in memory that an `rmcp` service is served over, and the wrapping that keeps a service's
//! panics from leaving a request without an answer.

use std::{borrow::Cow, collections::VecDeque, future::Future, io, panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt as _;
use rmcp::{
    ErrorData, RoleServer, Service,
    model::ProtocolVersion,
    service::{
        DynService, NotificationContext, RequestContext, RxJsonRpcMessage, ServiceRole, TxJsonRpcMessage,
    },
    transport::Transport,
};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{server::Terms, service::Wires, upstream::Upstream};
use crate::task;

/// Messages of a service that may wait to be taken; then its loop waits.
const OUTBOUND_MAX: usize = 256;
/// Messages of a service that may wait for the agent to be ready; later ones are dropped.
const EARLY_MAX: usize = 256;

/// A service that several sessions share.
pub(super) struct Shared(pub(super) Arc<Box<dyn DynService<RoleServer>>>);

/// The transport as the service's loop sees it.
pub(super) struct Pipe {
    inbound: mpsc::UnboundedReceiver<RxJsonRpcMessage<RoleServer>>,
    outbound: mpsc::Sender<TxJsonRpcMessage<RoleServer>>,
}

/// A transport; what the service says is carried on by a task that ends with it.
pub(super) fn pipe(
    inbound: mpsc::UnboundedReceiver<RxJsonRpcMessage<RoleServer>>,
    wires: Arc<Wires>,
    terms: &Terms,
) -> Pipe {
    let (outbound, from_service) = mpsc::channel(OUTBOUND_MAX);
    task::spawn(carry(from_service, wires, terms.upstream.clone(), Arc::clone(&terms.name)));
    Pipe { inbound, outbound }
}

/// Brings answers to those who wait and the service's own messages to the agent, in their order.
async fn carry(
    mut from_service: mpsc::Receiver<TxJsonRpcMessage<RoleServer>>,
    wires: Arc<Wires>,
    upstream: Upstream,
    name: Arc<str>,
) {
    let mut early: VecDeque<Value> = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            () = upstream.ready(), if !early.is_empty() => {
                for message in early.drain(..) {
                    upstream.tell(&name, message).await;
                }
            }
            message = from_service.recv() => {
                let Some(message) = message else { return };
                let message = match serde_json::to_value(message) {
                    Ok(message) => message,
                    Err(error) => {
                        tracing::debug!(server = %name, %error, "an MCP service said what is no JSON");
                        continue;
                    }
                };
                if message["method"].is_null() {
                    wires.settle(message);
                } else if upstream.is_ready() {
                    upstream.tell(&name, message).await;
                } else if early.len() < EARLY_MAX {
                    early.push_back(message);
                }
            }
        }
    }
}

impl Transport<RoleServer> for Pipe {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        // At once when there is room, because the loop polls what comes back in any order.
        let rest = match self.outbound.try_send(item) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Full(item)) => Some((self.outbound.clone(), item)),
            // The agent is gone, and with it all who could listen.
            Err(mpsc::error::TrySendError::Closed(_)) => None,
        };
        async move {
            if let Some((outbound, item)) = rest {
                let _ = outbound.send(item).await;
            }
            Ok(())
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        self.inbound.recv().await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.inbound.close();
        Ok(())
    }
}

impl Service<RoleServer> for Shared {
    async fn handle_request(
        &self,
        request: <RoleServer as ServiceRole>::PeerReq,
        context: RequestContext<RoleServer>,
    ) -> Result<<RoleServer as ServiceRole>::Resp, ErrorData> {
        let answer =
            AssertUnwindSafe(async { DynService::handle_request(&**self.0, request, context).await });
        match answer.catch_unwind().await {
            Ok(answer) => answer,
            Err(_panic) => Err(ErrorData::internal_error("the server broke down", None)),
        }
    }

    async fn handle_notification(
        &self,
        notification: <RoleServer as ServiceRole>::PeerNot,
        context: NotificationContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        DynService::handle_notification(&**self.0, notification, context).await
    }

    fn get_info(&self) -> <RoleServer as ServiceRole>::Info {
        DynService::get_info(&**self.0)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        DynService::supported_protocol_versions(&**self.0)
    }
}

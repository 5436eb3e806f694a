//! Listens on the loopback address and ends everything it began.

use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Charge, Options, Recorded, routes::Routes};

const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(10);

/// A running offline model; dropping it stops it.
#[derive(Debug)]
pub struct Server {
    port: u16,
    routes: Arc<Routes>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Binds 127.0.0.1 and answers from then on; fails when the port is taken.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let port = listener.local_addr()?.port();
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let routes = Arc::new(Routes::new(options, tasks.clone(), stop.clone()));
        let accepting = accept(listener, routes.clone(), tasks.clone(), stop.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(accepting));
        Ok(Self { port, routes, stop, tasks })
    }

    /// The address to give to a client as its base URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What was asked so far, oldest first.
    pub fn requests(&self) -> Vec<Recorded> {
        self.routes.log.all()
    }

    /// What was charged so far, in the order in which the answers began. What is not complete was not sent to its end.
    pub fn charged(&self) -> Vec<Charge> {
        self.routes.charges.all()
    }

    /// Forgets what was asked so far.
    pub fn forget_requests(&self) {
        self.routes.log.clear();
    }

    /// Closes all connections and waits until nothing runs any more.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(listener: TcpListener, routes: Arc<Routes>, tasks: TaskTracker, stop: CancellationToken) {
    loop {
        // Running out of file descriptors is the one error that stays; connections end while we wait.
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            continue;
        };
        tasks.spawn(stop.clone().run_until_cancelled_owned(serve(socket, routes.clone())));
    }
}

async fn serve(socket: TcpStream, routes: Arc<Routes>) {
    // Without it a delta may wait 40 ms for the acknowledgement of the one before; a socket that cannot is gone.
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| routes.clone().answer(request));
    // No timer: an idle connection stays open, as benchmarks and pools of clients expect.
    let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
    // A client that goes away, or a script that cuts, ends here as an error; both are meant to happen.
    let _ended = connection.await;
}

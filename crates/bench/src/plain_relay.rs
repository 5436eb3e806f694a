//! A relay that knows nothing of what it passes on: what anything costs that stands between an agent and the model.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

use anyhow::{Context, Result};

/// Eight times what the libraries' copying takes at once: a relay that costs little is to be measured.
const BUFFER_BYTES: usize = 64 * 1024;

/// Starts one to this address; it runs as long as this program, on threads of its own, so that the runtime which measures
/// does not carry it as well. Answers with its own address.
pub(crate) fn start(to: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to listen for a relay")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming() {
            // A connection that does not come about is noticed by who asked for it.
            let _relayed = client.and_then(|client| relay(client, to));
        }
    });
    Ok(address)
}

fn relay(client: TcpStream, to: SocketAddr) -> io::Result<()> {
    let upstream = TcpStream::connect(to)?;
    client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let (client_too, upstream_too) = (client.try_clone()?, upstream.try_clone()?);
    thread::spawn(move || pass_on(client, upstream));
    thread::spawn(move || pass_on(upstream_too, client_too));
    Ok(())
}

/// Until one side has ended, which the other is told. A lost connection is an end as well.
fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(buffer.get(..read).unwrap_or_default()).is_err() {
            break;
        }
    }
    let _ended = to.shutdown(Shutdown::Write);
}

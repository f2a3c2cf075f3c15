//! A network between two processes that can be made bad: a TCP proxy.
//!
//! - A silent network keeps what was sent, as TCP does: it arrives once the network is
//!   back, and so does the end of a connection.
//! - New connections are accepted on a silent network (the kernel does so), and then
//!   hear nothing.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::process::free_address;

/// Chunks on their way in one direction of one connection; bounds the memory.
const IN_FLIGHT: usize = 64;
const CHUNK_BYTES: usize = 16 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Good,
    /// Each direction takes this long.
    Slow(Duration),
    /// Connections stay open, nothing passes.
    Silent,
    /// Connections are closed, new ones are refused.
    Closed,
}

/// Dropping it closes everything.
pub struct Proxy {
    pub address: SocketAddr,
    network: watch::Sender<Network>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Self {
        let address = free_address();
        let listener = TcpListener::bind(address).await.expect("a free address");
        let (network, changes) = watch::channel(Network::Good);
        let accepting = tokio::spawn(accept(listener, target, changes));
        Self { address, network, accepting }
    }

    pub fn set(&self, network: Network) {
        self.network.send(network).expect("the proxy runs");
    }

    pub fn restore(&self) {
        self.set(Network::Good);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, mut network: watch::Receiver<Network>) {
    let address = listener.local_addr().expect("a bound listener");
    let mut listener = Some(listener);
    // Dropping the set ends all connections.
    let mut connections = JoinSet::new();
    loop {
        if *network.borrow_and_update() == Network::Closed {
            (listener, connections) = (None, JoinSet::new());
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(address).await.expect("our own address"));
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = network.changed() => if changed.is_err() { return },
            Ok((client, _)) = accepted => {
                connections.spawn(carry(client, target, network.clone()));
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One connection, until both directions have ended or either has failed.
async fn carry(client: TcpStream, target: SocketAddr, mut network: watch::Receiver<Network>) {
    passes(&mut network).await;
    let Ok(server) = TcpStream::connect(target).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("TCP");
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let ended = tokio::try_join!(
        one_way(from_client, to_server, network.clone()),
        one_way(from_server, to_client, network),
    );
    drop(ended);
}

async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    network: watch::Receiver<Network>,
) -> std::io::Result<()> {
    let (chunks, mut sent) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let mut state = network.clone();
    let reading = async move {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = from.read(&mut chunk).await;
            if read.is_err() {
                passes(&mut state).await;
            }
            chunk.truncate(read?);
            let is_end = chunk.is_empty();
            let delay = match *state.borrow() {
                Network::Slow(delay) => delay,
                _ => Duration::ZERO,
            };
            if chunks.send((Instant::now() + delay, chunk)).await.is_err() || is_end {
                return Ok(());
            }
        }
    };
    let mut state = network;
    let writing = async move {
        while let Some((due, chunk)) = sent.recv().await {
            tokio::time::sleep_until(due).await;
            passes(&mut state).await;
            // The end of the connection.
            if chunk.is_empty() {
                return to.shutdown().await;
            }
            to.write_all(&chunk).await?;
        }
        Ok(())
    };
    tokio::try_join!(reading, writing).map(|((), ())| ())
}

/// Waits while the network is silent.
async fn passes(network: &mut watch::Receiver<Network>) {
    let _the_proxy_ended = network.wait_for(|&network| network != Network::Silent).await;
}

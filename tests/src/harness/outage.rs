//! A way to a server that can be cut: a TCP proxy on loopback.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Passes connections on to a server until it is cut.
#[derive(Debug)]
pub struct Outage {
    address: SocketAddr,
    server: SocketAddr,
    passing: Option<JoinHandle<()>>,
}

impl Outage {
    /// A way to `server`, open.
    pub fn before(server: SocketAddr) -> Result<Self> {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        Ok(Self { address, server, passing: Some(tokio::spawn(pass(listener, server))) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections and refuses new ones.
    pub async fn begin(&mut self) {
        if let Some(passing) = self.passing.take() {
            passing.abort();
            let _ = passing.await; // an error says that it was aborted
        }
    }

    pub fn end(&mut self) -> Result<()> {
        self.passing = Some(tokio::spawn(pass(listen(self.address)?, self.server)));
        Ok(())
    }
}

/// On a port that was in use a moment ago, perhaps.
fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket.listen(64)?)
}

/// The connections end when this does.
async fn pass(listener: TcpListener, server: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        connections.spawn(async move {
            if let Ok(mut server) = TcpStream::connect(server).await {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

//! A wire to a real server that can be dead, or stall in the middle of an exchange.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

/// Forwards to a server, as long as it is told to.
pub struct Wire {
    address: SocketAddr,
    target: Url,
    socket: Option<TcpSocket>,
    forwarding: Option<JoinHandle<()>>,
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes towards the server that contain this stay here, and so does all that follows.
    stall_at: Option<&'static [u8]>,
    stalled: bool,
    /// How often the wire was cut. A connection from before the latest is no more.
    cuts: u64,
}

impl Wire {
    /// A wire to the server at `url` that refuses connections: its port is taken, and nobody listens.
    pub fn dead(url: &str) -> Self {
        let target = Url::parse(url).expect("a URL");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        Self { address, target, socket: Some(socket), forwarding: None, state: Arc::default() }
    }

    /// A wire that works.
    pub fn open(url: &str) -> Self {
        let mut wire = Self::dead(url);
        wire.revive();
        wire
    }

    /// The server's URL by way of this wire.
    pub fn url(&self) -> String {
        let mut url = self.target.clone();
        url.set_ip_host(self.address.ip()).expect("the URL has a host");
        url.set_port(Some(self.address.port())).expect("the URL has a port");
        url.into()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it forwards.
    pub fn revive(&mut self) {
        let listener = self.socket.take().expect("a dead wire").listen(64).expect("the port is bound");
        let host = self.target.host_str().expect("the URL has a host");
        let server = format!("{host}:{}", self.target.port().unwrap_or(6379));
        self.forwarding = Some(tokio::spawn(forward(listener, server, self.state.clone())));
    }

    /// Stalls when `command` is on its way to the server: all before it has been done, it and what follows has not.
    pub fn stall_at(&self, command: &'static str) {
        self.state.send_modify(|state| state.stall_at = Some(command.as_bytes()));
    }

    /// Whether something waits on the wire.
    pub fn is_stalled(&self) -> bool {
        self.state.borrow().stalled
    }

    /// Ends every connection, with what waits on it; new ones flow.
    pub fn cut(&self) {
        self.state.send_modify(|state| *state = State { cuts: state.cuts + 1, ..State::default() });
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(forwarding) = &self.forwarding {
            forwarding.abort();
        }
    }
}

async fn forward(listener: TcpListener, server: String, state: Arc<watch::Sender<State>>) {
    // Connections end with the wire.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (server, state) = (server.clone(), state.clone());
        connections.spawn(async move {
            let Ok(server) = TcpStream::connect(&server).await else { return };
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            let mut cut = state.subscribe();
            let before = cut.borrow().cuts;
            tokio::select! {
                // Looked at first: a cut also ends the stall, and what was stalled must not slip through.
                biased;
                _ = cut.wait_for(|now| now.cuts > before) => {}
                () = pass(from_client, to_server, Some(&state)) => {}
                () = pass(from_server, to_client, None) => {}
            }
        });
    }
}

/// Copies until either end closes.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, state: Option<&watch::Sender<State>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..read];
        if let Some(state) = state {
            state.send_if_modified(|now| {
                // A client writes a command at once, and on loopback it arrives so.
                let hit = now.stall_at.is_some_and(|stop| bytes.windows(stop.len()).any(|window| window == stop));
                now.stalled |= hit;
                hit
            });
            if state.subscribe().wait_for(|now| !now.stalled).await.is_err() {
                return;
            }
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

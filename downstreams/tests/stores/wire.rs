//! A wire to a real server that a test can cut and mend.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

pub struct Wire {
    pub address: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Wire {
    pub async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (whole, watched) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (mut watched, server) = (watched.clone(), server.clone());
                if *watched.borrow_and_update() {
                    tokio::spawn(async move {
                        let mut server = TcpStream::connect(server).await.unwrap();
                        tokio::select! {
                            // Looked at first: what is sent after a cut must not slip through.
                            biased;
                            _ = watched.changed() => {}
                            _ = copy_bidirectional(&mut client, &mut server) => {}
                        }
                    });
                }
            }
        });
        Self { address, whole }
    }

    /// Closes every connection and each new one at once.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

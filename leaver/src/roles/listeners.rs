//! Where a process listens: SCIM with the sync worker, the admin API with the console, probes everywhere.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use serde::Serialize;
use tokio::net::TcpListener;

use super::{Hosted, Parts, Role};
use crate::config::{Config, Http};
use crate::probes::{self, Probes};
use crate::supervise::Supervisor;

/// How long a stop waits for answers that are under way. A caller of the admin API may wait for minutes for something to happen,
/// and asks again.
const ANSWERS: Duration = Duration::from_secs(20);
const ADMIN_ANSWERS: Duration = Duration::from_secs(2);

/// Where a process listens.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Addresses {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<SocketAddr>,
    pub probes: SocketAddr,
}

/// Bound, but not served yet.
pub struct Listeners {
    public: Option<TcpListener>,
    admin: Option<TcpListener>,
    probes: TcpListener,
}

impl Listeners {
    pub async fn bind(hosted: Hosted, http: &Http) -> anyhow::Result<Self> {
        let bind = async |address: SocketAddr, key: &str| {
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} (http.{key})"))
        };
        let public = if hosted.hosts(Role::SyncWorker) { Some(bind(http.public, "public").await?) } else { None };
        let admin = if hosted.hosts(Role::Console) { Some(bind(http.admin, "admin").await?) } else { None };
        Ok(Self { public, admin, probes: bind(http.probes, "probes").await? })
    }

    /// What was bound: port 0 has become a real one.
    pub fn addresses(&self) -> std::io::Result<Addresses> {
        let of = |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr).transpose();
        Ok(Addresses { public: of(&self.public)?, admin: of(&self.admin)?, probes: self.probes.local_addr()? })
    }

    pub fn serve(
        self,
        parts: &Parts,
        config: &Config,
        probes: Probes,
        supervisor: &mut Supervisor,
    ) -> std::io::Result<()> {
        let probes = probes::routes(probes);
        if let (Some(listener), Some(sync)) = (self.public, &parts.sync) {
            let bound = format!("http://{}", listener.local_addr()?);
            let base = config.http.public_url.clone().unwrap_or(bound);
            serve("public", listener, sync_worker::receive::routes(sync.clone(), &base), ANSWERS, supervisor);
        }
        if let (Some(listener), Some(directory)) = (self.admin, &parts.console) {
            let downstreams = config.downstreams.keys().cloned().collect();
            let console = console::Console {
                directory: directory.clone(),
                downstreams,
                sources: config.sources.keys().cloned().collect(),
                judge: parts.judge.clone(),
                shadow: parts.shadow.clone(),
                mass: config.hands.mass,
            };
            let routes = console::routes(console).merge(probes.clone());
            serve("admin", listener, routes, ADMIN_ANSWERS, supervisor);
        }
        serve("probes", self.probes, probes, ADMIN_ANSWERS, supervisor);
        Ok(())
    }
}

fn serve(name: &str, listener: TcpListener, routes: Router, answers: Duration, supervisor: &mut Supervisor) {
    let stop = supervisor.stop_signal();
    supervisor.spawn(name, async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::select! {
            ended = served.into_future() => ended.map_err(Into::into),
            () = async { stop.cancelled().await; tokio::time::sleep(answers).await } => Ok(()),
        }
    });
}

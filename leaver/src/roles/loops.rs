//! The long-lived tasks of a process, each under its name.

use lifecycle::Lane;

use super::parts::{Parts, Subscribers};
use crate::supervise::Supervisor;

impl Parts {
    /// Starts every loop.
    pub fn spawn(&self, supervisor: &mut Supervisor) {
        self.spawn_relay(supervisor);
        self.spawn_revoker(supervisor);
        self.spawn_sync(supervisor);
        if let Some(herald) = self.herald.clone() {
            let stop = supervisor.stop_signal();
            supervisor.spawn("herald", async move {
                herald.run(stop).await;
                Ok(())
            });
        }
    }

    fn spawn_relay(&self, supervisor: &mut Supervisor) {
        for lane in Lane::ALL {
            let (relay, stop) = (self.relay.clone(), supervisor.stop_signal());
            supervisor.spawn(format!("relay {}", lane.as_str()), async move {
                relay.run(lane, stop).await;
                Ok(())
            });
        }
        if self.subscribers.is_none() {
            return;
        }
        let (relay, stop) = (self.relay.clone(), supervisor.stop_signal());
        supervisor.spawn("relay revocations", async move {
            relay.run_cutoffs(stop).await;
            Ok(())
        });
        let (relay, stop) = (self.relay.clone(), supervisor.stop_signal());
        supervisor.spawn("relay receipts", async move {
            relay.run_receipts(stop).await;
            Ok(())
        });
    }

    fn spawn_revoker(&self, supervisor: &mut Supervisor) {
        let Some(revoker) = &self.revoker else { return };
        for lane in Lane::ALL {
            let (revoker, bus, stop) = (revoker.clone(), self.bus.clone(), supervisor.stop_signal());
            supervisor.spawn(format!("decide {}", lane.as_str()), async move {
                revoker.consume(&*bus, lane, stop).await.map_err(Into::into)
            });
        }
        for target in revoker.targets.values() {
            for worker in 0..target.workers() {
                let (revoker, target, stop) = (revoker.clone(), target.clone(), supervisor.stop_signal());
                supervisor.spawn(format!("deliver {} {worker}", target.name), async move {
                    revoker.deliver(target, worker, stop).await;
                    Ok(())
                });
            }
            if target.adapter.index().is_some() {
                let (revoker, target, stop) = (revoker.clone(), target.clone(), supervisor.stop_signal());
                supervisor.spawn(format!("follow {}", target.name), async move {
                    revoker.follow(&target, stop).await;
                    Ok(())
                });
            }
        }
        if let Some(Subscribers { topic, digest, .. }) = &self.subscribers {
            let (revoker, stop) = (revoker.clone(), supervisor.stop_signal());
            let (topic, digest, holder) = (topic.clone(), digest.clone(), self.holder.clone());
            supervisor.spawn("announce revocations", async move {
                revoker.announce(&topic, &digest, &holder, stop.clone()).await;
                // It is done once, but ends with the others.
                stop.cancelled().await;
                Ok(())
            });
        }
        let (reconciler, stop) = (revoker.clone(), supervisor.stop_signal());
        supervisor.spawn("reconcile", async move {
            reconciler.reconcile(stop).await;
            Ok(())
        });
        let (worker, stop) = (revoker.clone(), supervisor.stop_signal());
        supervisor.spawn("approved holds", async move {
            worker.carry_out_holds(stop).await;
            Ok(())
        });
        let (worker, stop) = (revoker.clone(), supervisor.stop_signal());
        supervisor.spawn("shortened sessions", async move {
            worker.shorten(stop).await;
            Ok(())
        });
        let (looker, stop) = (revoker.clone(), supervisor.stop_signal());
        supervisor.spawn("looks of the revoker", async move {
            looker.serve_looks(stop).await;
            Ok(())
        });
        let (revoker, stop) = (revoker.clone(), supervisor.stop_signal());
        supervisor.spawn("requests of the revoker", async move {
            revoker.serve_requests(stop).await;
            Ok(())
        });
    }

    fn spawn_sync(&self, supervisor: &mut Supervisor) {
        let Some(sync) = &self.sync else { return };
        for source in sync.pulled.values() {
            let (sync, source, stop) = (sync.clone(), source.clone(), supervisor.stop_signal());
            supervisor.spawn(format!("pull {}", source.name), async move {
                sync.follow(source, stop).await;
                Ok(())
            });
        }
        let (worker, stop) = (sync.clone(), supervisor.stop_signal());
        supervisor.spawn("sync worker", async move {
            worker.be_there(stop).await;
            Ok(())
        });
        let (worker, stop) = (sync.clone(), supervisor.stop_signal());
        supervisor.spawn("fan-outs", async move {
            worker.work_off_fan_outs(stop).await;
            Ok(())
        });
        let (sync, stop) = (sync.clone(), supervisor.stop_signal());
        supervisor.spawn("requests of the sync worker", async move {
            sync.serve_requests(stop).await;
            Ok(())
        });
    }
}

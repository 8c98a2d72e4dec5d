//! Errands: what a downstream does once for a decision, and no cutoff says. Run beside the passes, by the same workers, until it
//! is done.

use directory::{Errand, Reply};
use downstreams::{Error::Rejected, Revoked, Signal};
use lifecycle::Action;

use crate::deliver::{HOLD, sentence};
use crate::pass::{self, NO_VALUE};
use crate::values::{self, Sought};
use crate::{Revoker, Target, spans};

impl Revoker {
    /// Runs one errand that is due. Whether there was one.
    pub(crate) async fn run_errand(&self, target: &Target, up_to: i16) -> directory::Result<bool> {
        let Some(errand) = self.directory.lease_errand(&target.name, up_to, HOLD).await? else { return Ok(false) };
        let span = spans::errand(&target.name, &errand);
        let renew = || self.directory.renew_errand(&target.name, &errand, HOLD);
        match self.keeping(target, renew, self.run(target, &errand)).await {
            Ok(reply) => {
                let over = target.breaker.over();
                self.directory.answer_errand(&target.name, &errand, &reply).await?;
                spans::replied(&span, &reply);
                self.measure_errand(target, &errand, &reply);
                if let Some((failures, lasted)) = over {
                    self.well_again(target, failures, lasted).await?;
                }
            }
            Err(pass::Error::Directory(error)) => {
                self.directory.unlease_errand(&target.name, &errand).await?;
                return Err(error);
            }
            Err(pass::Error::Downstream(error)) => {
                spans::failed(&span, &error);
                let failure = self.failed(target, 1, &error);
                let due = failure.due(errand.attempts, errand.clock);
                self.directory.defer_errand(&target.name, &errand, due, &sentence(&error), failure.stuck).await?;
            }
        }
        Ok(true)
    }

    /// Outside any transaction. What crashes before its reply is written is run again: told under the same id, or revoked already.
    async fn run(&self, target: &Target, errand: &Errand) -> Result<Reply, pass::Error> {
        let sought = Sought { subject: errand.subject, identity: errand.identity.as_ref(), stranger: None };
        let subjects = values::of(target, &self.directory, Some(&self.metrics), &[sought]).await?;
        let subject = &subjects[0];
        match (errand.action, &errand.event) {
            (Action::Notify, Some(event)) => {
                target.adapter.notify(&Signal { id: errand.decision, event, subject }).await?;
                Ok(Reply::HandedOver { at: errand.clock.now() })
            }
            (Action::RevokeCredentials, _) => {
                let until = errand.at + target.skew;
                let revoked = target.adapter.revoke_credentials(subject, until).await?;
                Ok(reply(errand, revoked, subject.values.is_empty()))
            }
            (action, _) => Err(Rejected(format!("{action} is nothing that is done once").into()).into()),
        }
    }

    fn measure_errand(&self, target: &Target, errand: &Errand, reply: &Reply) {
        match reply {
            Reply::HandedOver { .. } => self.metrics.handed_over(&target.name),
            Reply::Verified { ended, .. } => self.metrics.revoked(&target.name, *ended),
            Reply::Applied { ended, .. } => {
                self.metrics.revoked(&target.name, *ended);
                tracing::warn!(subject.id = %errand.subject, downstream.name = target.name, "credentials were revoked, and some are still good; looking again");
            }
        }
    }
}

fn reply(errand: &Errand, revoked: Revoked, nobody: bool) -> Reply {
    let number = |of: u64| u32::try_from(of).unwrap_or(u32::MAX);
    let (found, ended, now) = (number(revoked.found), number(revoked.ended), errand.clock.now());
    if revoked.left == 0 {
        let note = nobody.then(|| NO_VALUE.to_owned());
        return Reply::Verified { found, ended, applied_at: now, verified_at: now, note };
    }
    let again_at = now + pass::soon(now - errand.applied_at.unwrap_or(now));
    Reply::Applied { found, ended, applied_at: now, again_at }
}

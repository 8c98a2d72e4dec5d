//! What servers tell of keys that are written, and whether they do. In a cluster each tells of its own keys, so all are heard.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use ::redis::{
    ConnectionAddr,
    aio::{PubSub, PubSubSink},
};
use tokio::time::{sleep, timeout};

use super::{
    commands::{self, Redis},
    servers::{Places, Servers},
};
use crate::{Error, Result, entries::Entries, error::NoAnswer};

/// How often an ear is tried, and whether the keys are still where they were.
pub(super) const BEAT: Duration = Duration::from_secs(5);

const SETTING: &str = "notify-keyspace-events";

/// The event by which a key is written, and the letter that turns its notification on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) event: &'static str,
    pub(super) letter: char,
}

/// For one kind of event.
pub(super) struct Ears<'a> {
    servers: &'a Servers,
    written: Written,
}

/// What a server is set to.
enum Setting {
    Tells,
    /// It would have to be this instead.
    Lacks(String),
    /// We may not ask, or it has no such command.
    Unseen,
}

impl<'a> Ears<'a> {
    pub(super) fn new(servers: &'a Servers, written: Written) -> Self {
        Self { servers, written }
    }

    /// An ear at each server; none where we lack the right to it: walks have to do there, and `probe` says so.
    pub(super) async fn open(&self, places: &Places) -> Result<Vec<Option<PubSub>>> {
        let mut ears = Vec::with_capacity(places.primaries.len());
        for place in &places.primaries {
            ears.push(match self.at(place).await {
                Ok(ear) => Some(ear),
                Err(Error::Unauthorized(_)) => None,
                Err(error) => return Err(error),
            });
        }
        Ok(ears)
    }

    async fn at(&self, place: &ConnectionAddr) -> Result<PubSub> {
        self.servers.listen(place, &self.channel()).await
    }

    fn channel(&self) -> String {
        format!("__keyevent@{}__:{}", self.servers.login.db(), self.written.event)
    }

    /// Sees that whoever is heard by this ear still speaks to us.
    pub(super) async fn beat(&self, mut ear: PubSubSink) -> Result<Infallible> {
        loop {
            sleep(BEAT).await;
            // It is subscribed already; PING would take another right.
            let answer = timeout(self.servers.timeout, ear.subscribe(self.channel())).await;
            let answer = answer.map_err(|_| NoAnswer::after(self.servers.timeout))?;
            answer.map_err(|error| self.servers.classify(error))?;
        }
    }

    /// Which servers are set to tell, in the order of `redis`.
    pub(super) async fn set(&self, redis: &Redis) -> Result<Vec<bool>> {
        let mut set = Vec::new();
        for server in redis.each() {
            set.push(matches!(self.setting(&server).await?, Setting::Tells));
        }
        Ok(set)
    }

    async fn setting(&self, server: &Redis) -> Result<Setting> {
        match commands::setting(server, SETTING).await {
            Ok(Some(flags)) => Ok(lacking(&flags, self.written.letter).map_or(Setting::Tells, Setting::Lacks)),
            Ok(None) => Ok(Setting::Tells),
            // Nothing else needs that right, and some servers have no such command.
            Err(error) if error.code().is_some() => Ok(Setting::Unseen),
            Err(error) => Err(self.servers.classify(error)),
        }
    }

    /// Tries the right to listen, everywhere. What keeps servers from telling is said in sentences, with the command that mends it.
    pub(super) async fn probe(&self) -> Result<Vec<String>> {
        let places = self.servers.places().await?;
        let redis = self.servers.connect_to(&places).await?;
        let mut notes = Vec::new();
        for (server, place) in redis.each().zip(&places.primaries) {
            drop(self.at(place).await?);
            let note = match self.setting(&server).await? {
                Setting::Tells => continue,
                Setting::Lacks(needed) => {
                    let (at, to) = match place {
                        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }
                            if places.primaries.len() > 1 =>
                        {
                            (format!(" at {place}"), format!(" -h {host} -p {port}"))
                        }
                        _ => Default::default(),
                    };
                    format!(
                        "The server{at} does not tell of sessions that are written, so the session index learns of them by walks alone: \
                         redis-cli{to} CONFIG SET {SETTING} '{needed}'."
                    )
                }
                Setting::Unseen => format!(
                    "Whether the server tells of sessions that are written could not be seen, for want of +config|get: \
                     `redis-cli CONFIG GET {SETTING}` has to show E and {}, or A instead of the latter.",
                    self.written.letter
                ),
            };
            notes.push(note);
        }
        // The same of each of them.
        notes.dedup();
        Ok(notes)
    }
}

/// What the setting has to be so that `letter` is told of by event as well, unless it is so already.
fn lacking(flags: &str, letter: char) -> Option<String> {
    // A is short for all classes of events but a few that are none of ours.
    let has = |wanted| flags.contains(wanted) || (wanted != 'E' && flags.contains('A'));
    let missing: String = ['E', letter].into_iter().filter(|wanted| !has(*wanted)).collect();
    (!missing.is_empty()).then(|| format!("{flags}{missing}"))
}

/// Which servers tell, as far as we know: the index is told only if all of them do.
pub(super) struct Told<'a> {
    entries: &'a Entries,
    by: Vec<AtomicBool>,
}

impl<'a> Told<'a> {
    pub(super) fn new(entries: &'a Entries, by: impl Iterator<Item = bool>) -> Self {
        let told = Self { entries, by: by.map(AtomicBool::new).collect() };
        told.note();
        told
    }

    /// What it has told shows it, whatever we could see of its settings.
    pub(super) fn by(&self, server: usize) {
        self.by[server].store(true, Ordering::Relaxed);
        self.note();
    }

    fn note(&self) {
        self.entries.notified(self.by.iter().all(|told| told.load(Ordering::Relaxed)));
    }
}

impl Drop for Told<'_> {
    /// Nobody listens any more.
    fn drop(&mut self) {
        self.entries.notified(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Match;

    #[test]
    fn an_index_is_told_only_if_every_server_tells() {
        let entries = Entries::new(Match::Exact);
        let told = Told::new(&entries, [true, false, false].into_iter());
        told.by(2);
        assert!(!entries.state().notified);
        told.by(1);
        assert!(entries.state().notified);
        drop(told);
        assert!(!entries.state().notified, "nobody listens");
    }

    #[test]
    fn what_is_set_already_stays_set() {
        for (flags, needed) in [("", Some("E$")), ("Kg", Some("KgE$")), ("gE", Some("gE$")), ("AE", None), ("E$", None)]
        {
            assert_eq!(lacking(flags, '$').as_deref(), needed, "{flags}");
        }
    }
}

//! Carries the rings of this process's bells to other processes, and theirs here: `LISTEN` and `NOTIFY`.
//!
//! Both on connections of their own, never inside a business transaction: what commits with a `NOTIFY` in it waits for all
//! others that do. A ring that is lost costs a second, since everybody polls.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::select_all;
use rand::RngExt;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Error, Result, Wake};

/// Every process may take this role.
const ROLE: &str = "SET ROLE leaver_relay";
/// Rings of one bell that come closer together than this become one.
const APART: Duration = Duration::from_millis(5);
/// How long a silent connection is trusted.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest wait for an answer; a connection that lasted longer was a good one.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pauses between attempts, while they fail.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// One for each process that shares its database with others.
#[derive(Debug)]
pub struct Herald {
    options: PgConnectOptions,
    wake: Wake,
    /// The backend that tells others, so that it is not heard here as one of them; 0 for none.
    teller: AtomicU32,
}

impl Herald {
    /// Nothing is connected before [`Herald::run`].
    ///
    /// # Errors
    /// If `url` is no address of a database.
    pub fn new(url: &str, wake: Wake) -> Result<Self> {
        let options: PgConnectOptions = url.parse().map_err(Error::Statement)?;
        Ok(Self { options: options.application_name("leaver herald"), wake, teller: AtomicU32::new(0) })
    }

    /// Tells and hears until `stop`, over new connections whenever the old ones are lost.
    pub async fn run(&self, stop: CancellationToken) {
        // From the beginning, so that what rings while there is no connection is told over the next one.
        let mut rung = self.wake.bells().map(|(_, bell)| bell.own());
        let tell = async {
            let mut pauses = Pauses::default();
            loop {
                let Err(error) = self.tell(&mut rung).await;
                pauses.after(&error, "told").await;
            }
        };
        let hear = async {
            let mut pauses = Pauses::default();
            loop {
                let Err(error) = self.hear().await;
                pauses.after(&error, "heard").await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            never = tell => never,
            never = hear => never,
        }
    }

    /// Tells others which bells rang here: the first ring at once, those that follow closely together.
    async fn tell(&self, rung: &mut [watch::Receiver<u64>]) -> Result<Infallible, sqlx::Error> {
        let mut connection = in_time(PgConnection::connect_with(&self.options)).await?;
        in_time(sqlx::raw_sql(ROLE).execute(&mut connection)).await?;
        let backend: i32 = in_time(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection)).await?;
        self.teller.store(backend.unsigned_abs(), Ordering::SeqCst);
        loop {
            let bells = some(rung).await;
            let channels: Vec<&str> = bells.iter().map(|bell| self.wake.bells()[*bell].0).collect();
            let notify = sqlx::query("SELECT pg_notify(channel, '') FROM UNNEST($1::text[]) AS channel")
                .bind(&channels)
                .execute(&mut connection);
            if let Err(error) = in_time(notify).await {
                bells.into_iter().for_each(|bell| rung[bell].mark_changed());
                return Err(error);
            }
            tokio::time::sleep(APART).await;
        }
    }

    /// Rings here what others tell; first everything, since something may have been told before anybody listened.
    async fn hear(&self) -> Result<Infallible, sqlx::Error> {
        let own = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = in_time(own.connect_with(self.options.clone())).await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        in_time(sqlx::raw_sql(ROLE).execute(&mut listener)).await?;
        in_time(listener.listen_all(self.wake.bells().map(|(channel, _)| channel))).await?;
        self.wake.bells().into_iter().for_each(|(_, bell)| bell.ring_here());
        loop {
            let heard = match tokio::time::timeout(SILENCE, listener.try_recv()).await {
                Ok(heard) => heard?.ok_or_else(|| sqlx::Error::from(std::io::Error::from(ErrorKind::UnexpectedEof)))?,
                Err(_) => {
                    in_time(sqlx::query("SELECT 1").execute(&mut listener)).await?;
                    continue;
                }
            };
            if heard.process_id() == self.teller.load(Ordering::SeqCst) {
                continue;
            }
            let bells = self.wake.bells().into_iter();
            bells.filter(|(channel, _)| *channel == heard.channel()).for_each(|(_, bell)| bell.ring_here());
        }
    }
}

/// The bells that have rung, once there are any; they count as told.
async fn some(rung: &mut [watch::Receiver<u64>]) -> Vec<usize> {
    // Whoever rings holds the other end, and so does the herald: none of them ends.
    let (_, first, _) = select_all(rung.iter_mut().map(|rung| Box::pin(rung.changed()))).await;
    let mut bells = vec![first];
    for (bell, rung) in rung.iter_mut().enumerate().filter(|(bell, _)| *bell != first) {
        if rung.has_changed().unwrap_or(false) {
            rung.mark_unchanged();
            bells.push(bell);
        }
    }
    bells
}

/// Between attempts, growing while they fail at once.
struct Pauses {
    next: Duration,
    began: Instant,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { next: FIRST_PAUSE, began: Instant::now() }
    }
}

impl Pauses {
    /// Waits after an attempt that ended with `error`; says so once per outage.
    async fn after(&mut self, error: &sqlx::Error, what: &str) {
        if self.began.elapsed() > PATIENCE {
            self.next = FIRST_PAUSE;
        }
        if self.next == FIRST_PAUSE {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "wake-ups cannot be {what}; everybody looks each second");
        }
        let jitter = rand::rng().random_range(0.8..1.2);
        tokio::time::sleep(self.next.mul_f64(jitter)).await;
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        self.began = Instant::now();
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = |_| Err(std::io::Error::from(ErrorKind::TimedOut).into());
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(late)
}

//! Notices the moment at which a key goes, by the store's own notifications.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tests::world::redis_at;
use tokio::sync::oneshot;

/// Who waits for whose session to go.
#[derive(Clone, Default)]
pub struct Waiting(Arc<Mutex<HashMap<String, oneshot::Sender<Instant>>>>);

impl Waiting {
    /// Resolves at the moment when this user's session goes.
    pub fn expect(&self, user: &str) -> oneshot::Receiver<Instant> {
        let (told, gone) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned(), told);
        gone
    }

    /// Tells whoever waits that this user's session has gone.
    pub fn notice(&self, user: &str) {
        let at = Instant::now();
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(user);
        if found.is_some_and(|waiting| waiting.send(at).is_err()) {
            eprintln!("nobody waits for the session of {user}");
        }
    }
}

#[derive(Clone)]
pub struct Watch {
    connection: MultiplexedConnection,
    prefix: String,
    waiting: Waiting,
}

impl Watch {
    pub async fn start(url: &str, prefix: &str) -> Self {
        Self::of(url, prefix, "del").await
    }

    /// The same where a session goes by another event than the deletion of its key.
    pub async fn of(url: &str, prefix: &str, gone: &'static str) -> Self {
        let client = redis::Client::open(url).expect("an address of Redis");
        let mut connection = redis_at(url).await.expect("Redis answers");
        let () = redis::cmd("CONFIG")
            .arg(&["SET", "notify-keyspace-events", "Kgh"])
            .query_async(&mut connection)
            .await
            .expect("Redis can be configured");
        let mut events = client.get_async_pubsub().await.expect("Redis answers");
        events.psubscribe(format!("__keyspace@*__:{prefix}*")).await.expect("Redis notifies");
        let waiting = Waiting::default();
        let (noticed, start) = (waiting.clone(), prefix.len());
        tokio::spawn(async move {
            let mut events = events.into_on_message();
            while let Some(event) = events.next().await {
                // A new time to live is an event of its key, too.
                let is_end = event.get_payload::<String>().is_ok_and(|what| what == gone);
                if let Some((_, key)) = event.get_channel_name().split_once("__:").filter(|_| is_end) {
                    noticed.notice(&key[start..]);
                }
            }
        });
        Self { connection, prefix: prefix.to_owned(), waiting }
    }

    /// A session of this user, under the user's own name so that the notification says whose it was.
    pub async fn sign_in(&self, user: &str) {
        let session = serde_json::json!({
            "cookie": {"originalMaxAge": 86_400_000, "expires": "2030-01-01T00:00:00.000Z", "httpOnly": true, "path": "/"},
            "passport": {"user": user},
            "cart": {"items": [{"sku": "A-1", "count": 2}, {"sku": "B-2", "count": 1}], "currency": "EUR"},
            "flash": {"notice": ["welcome back"]}, "csrf": "4f2c6a1d9be84c0f8a7e5d3b1c9f0e2a",
        });
        let key = format!("{}{user}", self.prefix);
        let () = self.connection.clone().set_ex(key, session.to_string(), 86_400).await.expect("Redis stores");
    }

    /// See [`Waiting::expect`].
    pub fn expect(&self, user: &str) -> oneshot::Receiver<Instant> {
        self.waiting.expect(user)
    }

    /// A connection to the store, for what else is done there.
    pub fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    /// Looks for this user's session itself, over connections that may fail, and returns when it is gone.
    pub async fn until_gone(&self, url: &str, user: &str) -> Instant {
        let key = format!("{}{user}", self.prefix);
        loop {
            if let Ok(mut redis) = redis_at(url).await {
                while let Ok(there) = redis.exists::<_, bool>(&key).await {
                    if !there {
                        return Instant::now();
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

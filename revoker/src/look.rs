//! Looks at somebody's sessions in every downstream, for a person: what lives, and what a revocation would end. It ends nothing.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use directory::{Request, RequestKind, in_force};
use downstreams::{Finds, Session};
use futures::{StreamExt as _, future};
use lifecycle::must_end::{Found, Look, must_end};
use lifecycle::{Action, Cutoff, IdentityView};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::deliver::sentence;
use crate::pass::NO_VALUE;
use crate::values::{self, Sought};
use crate::{Revoker, Target};

const POLL: Duration = Duration::from_secs(1);
/// How long one downstream may take: whoever asked sits before a screen.
const WITHIN: Duration = Duration::from_secs(5);
/// Nobody waits for an answer any more that was asked for so long ago.
const STALE: chrono::Duration = chrono::Duration::seconds(60);
/// How many are looked for at once; each may read a whole store.
const AT_ONCE: usize = 4;
/// Sessions of a downstream that are listed; all are counted.
const LISTED: usize = 1_000;

/// What the console writes into a request to look.
#[derive(Debug, Deserialize)]
struct Wish {
    subject: Uuid,
    /// Only there.
    #[serde(default)]
    downstreams: Option<Vec<String>>,
    /// What would be ordered; `None`: nothing, they are only shown.
    #[serde(default)]
    would: Option<Vec<Action>>,
    #[serde(default)]
    lock_for_ms: Option<u64>,
}

/// What one downstream showed.
#[derive(Debug, Default, Serialize)]
struct Seen {
    downstream: String,
    /// How it finds sessions: `index`, `scan` or `opaque`.
    finds: &'static str,
    knows_auth_time: bool,
    found: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_end: Option<usize>,
    sessions: Vec<Shown>,
    /// Why nothing is known of it.
    error: Option<String>,
    note: Option<&'static str>,
}

/// A session without its id, which is a credential.
#[derive(Debug, Serialize)]
struct Shown {
    /// The beginning of the hash of its id.
    session: String,
    kind: &'static str,
    auth_time: Option<String>,
    /// An earlier pass ended it, and it came back.
    ended_before: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_end: Option<bool>,
}

impl Revoker {
    /// Takes requests to look until `stop`. Apart from other requests: a store that hangs must not keep a revocation waiting.
    pub async fn serve_looks(&self, stop: CancellationToken) {
        let mut bell = self.directory.wake.requests.listen();
        while !stop.is_cancelled() {
            match self.directory.open_requests(&[RequestKind::Look]).await {
                Ok(requests) => {
                    futures::stream::iter(&requests)
                        .for_each_concurrent(AT_ONCE, |request| self.serve_look(request))
                        .await
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "requests could not be read; trying again")
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = bell.heard_or(POLL) => {}
            }
        }
    }

    async fn serve_look(&self, request: &Request) {
        let name = format!("look/{}", request.id);
        let looked = async {
            // Another process may be looking already.
            if self.directory.lease(&name, self.directory.holder()).await? {
                self.look(request).await?;
                self.directory.release_lease(&name, self.directory.holder()).await?;
            }
            Ok::<_, directory::Error>(())
        };
        if let Err(error) = looked.await {
            tracing::warn!(error = &error as &dyn std::error::Error, request.id = %request.id, "a look could not be answered; trying again");
        }
    }

    async fn look(&self, request: &Request) -> directory::Result<()> {
        let refuse = |why: String| {
            let why = json!({ "error": why });
            async move { self.directory.finish_request(request.id, false, &why).await }
        };
        if request.asked_at + STALE < Utc::now() {
            return refuse("nobody looked in time".to_owned()).await;
        }
        let wish: Wish = match Deserialize::deserialize(&request.payload) {
            Ok(wish) => wish,
            Err(error) => return refuse(error.to_string()).await,
        };
        let identity = self.directory.views(&[wish.subject]).await?.remove(&wish.subject);
        let scopes = self.directory.cutoffs(wish.subject).await?;
        let concerned: Vec<&Target> = self
            .targets
            .values()
            .map(|target| &**target)
            .filter(|target| wish.downstreams.as_ref().is_none_or(|names| names.contains(&target.name)))
            .collect();
        let looks = concerned.into_iter().map(|target| self.look_at(target, &wish, identity.as_ref(), &scopes));
        let seen: Vec<Seen> = future::try_join_all(looks).await?;
        let answer = json!({"looked_at": directory::instant::text(&Utc::now()), "downstreams": seen});
        self.directory.answer_look(request.id, &answer).await
    }

    async fn look_at(
        &self,
        target: &Target,
        wish: &Wish,
        identity: Option<&IdentityView>,
        scopes: &BTreeMap<String, Cutoff>,
    ) -> directory::Result<Seen> {
        let capabilities = target.adapter.capabilities();
        let mut seen = Seen {
            downstream: target.name.clone(),
            finds: match capabilities.finds {
                Finds::ByUserIndex => "index",
                Finds::ScanOnly => "scan",
                Finds::Opaque => "opaque",
            },
            knows_auth_time: capabilities.knows_auth_time,
            ..Seen::default()
        };
        if wish.would.as_ref().is_some_and(|actions| !actions.iter().any(|action| target.can(*action))) {
            return Ok(Seen { note: Some("cannot do this, so nothing would be asked of it"), ..seen });
        }
        let unknown: &[Uuid] = if identity.is_none() { &[wish.subject] } else { &[] };
        let stranger = self.directory.strangers(&target.name, unknown).await?.remove(&wish.subject);
        let sought = Sought { subject: wish.subject, identity, stranger: stranger.as_deref() };
        let subjects = values::of(target, &self.directory, None, &[sought]).await?;
        if subjects.iter().all(|subject| subject.values.is_empty()) {
            return Ok(Seen { note: Some(NO_VALUE), ..seen });
        }
        let found = match tokio::time::timeout(WITHIN, target.adapter.find(&subjects)).await {
            Ok(Ok(found)) => found.into_iter().flatten().collect::<Vec<Session>>(),
            Ok(Err(error)) => return Ok(Seen { error: Some(sentence(&error)), ..seen }),
            Err(_) => return Ok(Seen { error: Some(format!("no answer within {}s", WITHIN.as_secs())), ..seen }),
        };
        let ended =
            self.directory.ended(&target.name, &[wish.subject]).await?.remove(&wish.subject).unwrap_or_default();
        let now = Utc::now();
        let cutoff = wish.would.as_ref().map(|_| self.would_be(wish, scopes, &target.name, now));
        let shown: Vec<Shown> =
            found.iter().map(|session| show(session, &ended, cutoff.as_ref(), target.skew, now)).collect();
        seen.found = shown.len();
        seen.would_end = cutoff.map(|_| shown.iter().filter(|shown| shown.would_end == Some(true)).count());
        let asked = |action| wish.would.as_ref().is_some_and(|actions| actions.contains(&action));
        if asked(Action::RevokeCredentials) && target.can(Action::RevokeCredentials) {
            seen.note = Some("credentials would be revoked");
        }
        seen.sessions = shown.into_iter().take(LISTED).collect();
        Ok(seen)
    }

    /// The cutoff that would be in force at a downstream.
    fn would_be(&self, wish: &Wish, scopes: &BTreeMap<String, Cutoff>, downstream: &str, now: DateTime<Utc>) -> Cutoff {
        let actions = wish.would.as_deref().unwrap_or_default();
        let lock_for = wish.lock_for_ms.map(Duration::from_millis);
        let ordered = self.by_hand(wish.downstreams.as_deref(), actions, lock_for);
        let mut scopes = scopes.clone();
        for (scope, demand) in ordered.demands(now, None, 0) {
            let joined = scopes.get(&scope).copied().unwrap_or_default().join(&demand);
            scopes.insert(scope, joined);
        }
        in_force(&scopes, downstream)
    }
}

fn show(
    session: &Session,
    ended: &HashSet<Vec<u8>>,
    cutoff: Option<&Cutoff>,
    skew: chrono::Duration,
    now: DateTime<Utc>,
) -> Shown {
    let hash = session.id.hash();
    let ended_before = ended.contains(hash.as_slice());
    let found = Found { kind: session.kind, auth_time: session.auth_time, ended_before };
    Shown {
        session: hex::encode(&hash[..4]),
        kind: match session.kind {
            downstreams::SessionKind::Session => "session",
            downstreams::SessionKind::Refresh => "refresh",
        },
        auth_time: session.auth_time.as_ref().map(directory::instant::text),
        ended_before,
        would_end: cutoff.map(|cutoff| must_end(&found, cutoff, Look::First, skew, now)),
    }
}

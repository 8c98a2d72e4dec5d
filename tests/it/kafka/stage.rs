//! What stories over Kafka share: worlds in roles, people who are signed in, and looks into the database and the topics.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tests::world::{
    Gateway, Message, Names, Person, Postgres, Role, Site, Store, World, eventually, okta, people, person, until,
};

/// For what waits for something else to time out: a lease, a session at the broker, a pause between two tries.
pub const PATIENTLY: Duration = Duration::from_secs(180);

/// One process of each role.
pub const ONE_EACH: [(Role, usize); 3] = [(Role::Console, 1), (Role::SyncWorker, 1), (Role::Revoker, 1)];

/// An identity provider whose bursts nothing holds: stories let many people leave at once.
pub fn provider() -> String {
    okta(", brake: { burst: { count: 10000, window: 60s } }")
}

/// Both sources and one downstream, beside a bus.
pub fn parts(names: &Names) -> String {
    format!("sources:\n  people: {}\n  okta: {}\ndownstreams:\n  web: {}\n", people(""), provider(), names.web())
}

/// The same over the shared Kafka.
pub fn usual(names: &Names) -> String {
    parts(names) + &names.kafka()
}

/// A site with a PostgreSQL of its own, for stories that keep transactions open: on the shared one, every world's list of events
/// would end before the oldest of them.
pub async fn secluded(yaml: impl FnOnce(&Names) -> String) -> Site {
    Site::with_postgres(Postgres::start().await, yaml).await
}

/// Somebody with an account and a session.
pub struct SignedIn {
    pub person: Person,
    /// Her id at the identity provider.
    pub account: String,
    pub session: String,
}

/// `count` people who are signed in, numbered from `first`.
pub async fn signed_in(okta: &Gateway, store: &Store, first: u32, count: u32) -> Vec<SignedIn> {
    let mut all = Vec::new();
    for number in first..first + count {
        let person = person(number, &format!("user{number}"));
        let account = okta.create(&person).await;
        let session = store.sign_in(&person.user).await;
        all.push(SignedIn { person, account, session });
    }
    all
}

/// Somebody else leaves, all the way: what the story breaks later has worked before.
pub async fn works(world: &World, number: u32) {
    let (okta, store) = (world.gateway("okta"), world.store("web").await);
    let [one] = &signed_in(&okta, &store, number, 1).await[..] else { unreachable!("one was asked for") };
    okta.set_active(&one.account, false).await;
    store.ends(&one.session).await;
    world.reached(&one.person.user, "web", "verified").await;
    nothing_is_pending(world).await;
}

/// Waits until every session of these people is gone, however long that takes.
pub async fn all_end(store: &Store, people: &[SignedIn]) {
    for one in people {
        let what = format!("the session of {} is gone", one.person.user);
        eventually(PATIENTLY, &what, async || !store.lives(&one.session).await).await;
    }
}

/// The story's own connection, as the superuser.
pub async fn database(site: &Site) -> PgConnection {
    PgConnection::connect(site.database().url()).await.unwrap()
}

/// The one number that a query answers.
pub async fn count(database: &mut PgConnection, query: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(database).await.unwrap()
}

/// What is pending for which of the topics.
#[derive(Debug, Clone, Copy)]
pub enum Lane {
    Urgent = 0,
    Bulk = 1,
}

/// From now on whoever would forget pending events of this lane, which the bus has acknowledged, waits; all else goes on.
pub async fn nobody_forgets(holding: &mut PgConnection, lane: Lane) {
    holding.execute("SELECT pg_advisory_lock(1)").await.unwrap();
    let trigger = format!(
        "CREATE FUNCTION public.wait_for_the_story() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN OLD; END $$;
         CREATE TRIGGER wait_for_the_story BEFORE DELETE ON ledger.pending
             FOR EACH ROW WHEN (OLD.lane = {}) EXECUTE FUNCTION public.wait_for_the_story()",
        lane as i16
    );
    holding.execute(AssertSqlSafe(trigger)).await.unwrap();
}

/// The end of [`nobody_forgets`], on the same connection.
pub async fn everybody_forgets(holding: &mut PgConnection) {
    holding.execute("SELECT pg_advisory_unlock(1)").await.unwrap();
}

/// How many events wait for the bus.
pub async fn pending(world: &World) -> i64 {
    count(&mut database(world.site()).await, "SELECT count(*) FROM ledger.pending").await
}

/// How many events there are.
pub async fn events(world: &World) -> i64 {
    count(&mut database(world.site()).await, "SELECT count(*) FROM ledger.events").await
}

/// Waits until the bus has acknowledged everything.
pub async fn nothing_is_pending(world: &World) {
    let mut database = database(world.site()).await;
    let query = "SELECT (SELECT count(*) FROM ledger.pending) + (SELECT count(*) FROM ledger.pending_cutoffs)
                      + (SELECT count(*) FROM ledger.pending_receipts)";
    eventually(PATIENTLY, "nothing is pending", async || count(&mut database, query).await == 0).await;
}

/// Who holds the lease of this name now.
pub async fn holder(database: &mut PgConnection, lease: &str) -> Option<String> {
    let query = "SELECT holder FROM working.leases WHERE name = $1 AND until > clock_timestamp()";
    sqlx::query_scalar(query).bind(lease).fetch_optional(database).await.unwrap()
}

/// The records about this subject of this type.
pub fn about<'a>(messages: &'a [Message], subject: &str, of: &str) -> Vec<&'a Message> {
    messages.iter().filter(|message| message.key == subject && message.body["type"] == of).collect()
}

/// Waits until the lifecycle topics hold an event of this type about this subject.
pub async fn is_published(world: &World, subject: &str, of: &str) {
    let topics = world.site().names().topics();
    until(PATIENTLY, &format!("{of} is on its topic"), async || {
        (!about(&topics.events().await, subject, of).is_empty()).then_some(())
    })
    .await;
}

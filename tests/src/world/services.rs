//! The shared services that stories run on, and the programs next to the test.

use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};

use super::SOON;

/// The value of a variable that `make services` provides.
pub(super) fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run make services and source the file that it names"))
}

/// The shared Redis.
pub fn redis_url() -> String {
    variable("LEAVER_TEST_REDIS_URL")
}

/// A connection to a Redis. By itself the client gives up after half a second, which is soon over on a busy machine.
///
/// # Errors
/// When nobody answers there.
pub async fn redis_at(url: &str) -> RedisResult<MultiplexedConnection> {
    let patient = AsyncConnectionConfig::new().set_connection_timeout(Some(SOON)).set_response_timeout(Some(SOON));
    Client::open(url)?.get_multiplexed_async_connection_with_config(&patient).await
}

/// The shared Kafka, as `bus.kafka.brokers` names it.
pub fn kafka_brokers() -> String {
    variable("LEAVER_TEST_KAFKA_BROKERS")
}

/// A port that nobody uses, for a server that will want it again after a fall. From below those that the kernel gives to
/// clients, so that none of them has taken it meanwhile.
pub(super) fn free_port() -> u16 {
    loop {
        let port = 10_000 + (uuid::Uuid::new_v4().as_u128() % 20_000) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The program under test, built by the same cargo into the folder above the test's own.
pub(super) fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("cargo puts tests into target/PROFILE/deps");
    let binary = folder.join("leaver");
    assert!(binary.is_file(), "{} is missing: run cargo build -p leaver first (make test does)", binary.display());
    binary
}

/// An HTTP client that never follows a redirect: where something went is part of what stories look at.
pub fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    // The client wants one even where it only ever speaks plain HTTP; a second installation is refused and harmless.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        // All of it is plain HTTP, and to read the certificates of the machine takes longer than most requests.
        .tls_certs_only([])
        // Node closes a connection that was idle for five seconds, perhaps just when the next request is written to it.
        .pool_idle_timeout(Duration::from_secs(3))
        .build()
        .expect("a client without options builds")
}

/// Distinct in every world, and legal in the names of databases and keys.
pub fn unique() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

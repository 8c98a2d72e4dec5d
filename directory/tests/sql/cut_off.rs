//! Callers that give up while the database is at work: a client hangs up, a run is cut off.

use std::pin::pin;
use std::task::Poll;

use directory::{Directory, Role, Wake};
use lifecycle::AccountFacts;

use crate::database::Database;
use crate::world::{PLENTY, cause, person, sources};

/// Polls `work` until it has waited `times` times, and drops it there. Whether it ended before.
async fn dropped_after(times: usize, work: impl Future) -> bool {
    let mut work = pin!(work);
    let mut waited = 0;
    std::future::poll_fn(|context| {
        if work.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        waited += 1;
        if waited < times { Poll::Pending } else { Poll::Ready(false) }
    })
    .await
}

#[tokio::test]
async fn what_is_written_after_somebody_gave_up_is_durable() {
    let database = Database::migrated().await;
    let owner = database.owner().await;
    // One connection, so that whoever comes next has the one that was left.
    let sync = Directory::connect(database.url(), Role::Sync, 1, sources(), Wake::default()).await.unwrap();
    sync.register_sources().await.unwrap();
    // The shortest wait is the one that matters, and the database may be faster than it now and then.
    for times in [1; 20].into_iter().chain(1..) {
        let facts = AccountFacts { native_id: directory::new_id(), ..person(&uuid::Uuid::new_v4().to_string()) };
        // Whoever waits first waits for the database, and not for the connection to come back.
        while sync.pool().num_idle() == 0 {
            tokio::task::yield_now().await;
        }
        let over = dropped_after(times, sync.create_user(&cause("okta"), PLENTY, &facts)).await;
        let place = uuid::Uuid::new_v4().to_string();
        sync.park("okta", &place, "the next writer").await.unwrap();
        let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger.parked WHERE place = $1")
            .bind(&place)
            .fetch_one(&owner)
            .await
            .unwrap();
        assert_eq!(kept, 1, "given up after {times} waits");
        if over {
            break;
        }
    }
    sync.close().await;
}

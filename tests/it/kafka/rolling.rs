//! Every process is restarted, one after the other, while people leave: in order, as an upgrade does it, or killed.

use std::time::Duration;

use serde_json::Value;
use tests::world::{Reader, Role, Site, World, rounds};
use tokio::time::interval;

use super::stage::{all_end, nothing_is_pending, signed_in, usual, works};

const ROLES: [Role; 3] = [Role::Console, Role::SyncWorker, Role::Revoker];

/// How many leave while each process is restarted once.
const PEOPLE: u32 = 100;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    InOrder,
    Killed,
}

/// Ends and starts each process so many times, one after the other, while people leave; their sessions end. Answers with
/// what is on the topics, and everybody's receipt.
async fn restarting(end: End, rounds: u32) -> (Reader, Vec<Value>) {
    let mut world = World::apart(Site::new(usual).await, &ROLES.map(|role| (role, 2))).await;
    works(&world, 1).await;
    let (okta, store) = (world.gateway("okta"), world.store("web").await);
    let people = signed_in(&okta, &store, 1001, rounds * PEOPLE).await;
    nothing_is_pending(&world).await;

    let accounts: Vec<String> = people.iter().map(|one| one.account.clone()).collect();
    let load = tokio::spawn(async move {
        let mut pace = interval(Duration::from_millis(200));
        for account in accounts {
            pace.tick().await;
            okta.set_active(&account, false).await;
        }
    });
    let each = ROLES.into_iter().flat_map(|role| [(role, 0), (role, 1)]);
    for (restarts, (role, number)) in (0..).zip(each.cycle()) {
        if load.is_finished() && restarts >= 6 * rounds {
            break;
        }
        match end {
            End::InOrder => {
                let code = world.member_mut(role, number).terminate().await;
                assert_eq!(code, Some(0), "{} {number} stops in order", role.as_str());
            }
            End::Killed => world.member_mut(role, number).kill9(),
        }
        world.start_again(role, number).await;
    }
    load.await.unwrap();
    all_end(&store, &people).await;
    let mut receipts = Vec::new();
    for one in &people {
        receipts.push(world.reached(&one.person.user, "web", "settled").await);
    }
    nothing_is_pending(&world).await;
    (Reader::of(&world.site().names().topics().events().await), receipts)
}

#[tokio::test]
async fn restarting_every_role_over_and_over_under_load_loses_nobody() {
    let (_, receipts) = restarting(End::InOrder, rounds(1)).await;
    for receipt in receipts {
        assert_eq!((&receipt["ended"], &receipt["resurrected"]), (&1.into(), &0.into()), "{receipt:#}");
    }
}

#[tokio::test]
async fn killing_every_role_over_and_over_under_load_loses_nobody_and_no_event() {
    let (reader, receipts) = restarting(End::Killed, rounds(1)).await;
    assert_eq!(reader.holes(), Vec::<&(String, String)>::new());
    for receipt in receipts {
        // Whoever dies after the deletion and before its answer is durable has counted nothing.
        assert!(receipt["ended"].as_u64().unwrap() <= 1, "{receipt:#}");
        assert_eq!(receipt["resurrected"], 0, "{receipt:#}");
    }
}

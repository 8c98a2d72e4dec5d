//! Every process is restarted, one after the other, as an upgrade does it, while people leave.

use std::time::Duration;

use tests::world::{Role, Site, World};
use tokio::time::interval;

use super::stage::{all_end, nothing_is_pending, signed_in, usual, works};

const ROLES: [Role; 3] = [Role::Console, Role::SyncWorker, Role::Revoker];

#[tokio::test]
async fn a_rolling_restart_of_every_role_under_load_loses_nobody() {
    let mut world = World::apart(Site::new(usual).await, &ROLES.map(|role| (role, 2))).await;
    works(&world, 1).await;
    let (okta, store) = (world.gateway("okta"), world.store("web").await);
    let people = signed_in(&okta, &store, 1001, 100).await;
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
    for (restarts, (role, number)) in each.cycle().enumerate() {
        if load.is_finished() && restarts >= 6 {
            break;
        }
        let code = world.member_mut(role, number).terminate().await;
        assert_eq!(code, Some(0), "{} {number} stops in order", role.as_str());
        world.start_again(role, number).await;
    }
    load.await.unwrap();
    all_end(&store, &people).await;
    for one in &people {
        let receipt = world.reached(&one.person.user, "web", "settled").await;
        assert_eq!((&receipt["ended"], &receipt["resurrected"]), (&1.into(), &0.into()), "{receipt:#}");
    }
    nothing_is_pending(&world).await;
}

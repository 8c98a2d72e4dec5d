//! A rule with a brake: what it orders beyond that waits for a person, and nobody who leaves ever does.

use directory::RequestKind;
use lifecycle::Standing;
use policy::Policy;
use serde_json::json;

use crate::store::Store;
use crate::world::{Setup, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_brake_holds_ends_nothing_until_it_is_approved_and_a_leaver_passes_it() {
    let policy = "rules:
  - name: fresh
    on: [identity.created, identity.suspended]
    do: [revoke_sessions]
    brake: { count: 0, window: 1s }
";
    let web = Store::new();
    web.sign_in("ana", "a1");
    web.sign_in("ben", "b1");
    let policy = Policy::parse(policy).unwrap();
    let world = Setup { policy, ..Setup::of([("web", &web)]) }.start().await;
    let (ana, ben) = (world.person("ana").await, world.person("ben").await);
    let left = world.set(&ben, Standing::Inactive).await;
    world.until(left, "web", "verified").await;
    assert!(web.of_user("ben").is_empty(), "who leaves is out, whatever the brake says");
    let all_held = || async { world.count("SELECT count(*) FROM ledger.held").await == 2 };
    eventually("both creations are held", all_held).await;
    assert_eq!(web.of_user("ana"), ["a1"]);
    assert!(world.delivery(&ana, "web").await.is_null(), "nothing is owed of what is held");

    for hold in world.console.holds(true).await.unwrap() {
        // It gathers for a second; until then the answer is refused.
        let answered = || async {
            let asked = world.console.ask(RequestKind::ApproveHold, &json!({"hold": hold.id}), "jo").await.unwrap();
            eventually("it is answered", || async { world.console.request(asked).await.unwrap().state != "new" }).await;
            world.console.request(asked).await.unwrap().state == "done"
        };
        eventually("the hold is approved", answered).await;
    }
    world.quiet(&ana, "web").await;
    assert!(web.of_user("ana").is_empty());
    world.stop().await;
}

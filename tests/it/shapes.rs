//! However an identity provider says that somebody is gone, it is one suspension (or departure), once.

use serde_json::{Value, json};
use tests::world::{Person, Scim, Store, World, person};

/// A world with the sessions of its people.
struct Stage {
    store: Store,
    okta: Scim,
    world: World,
}

impl Stage {
    /// Somebody who is signed in, and her SCIM id.
    async fn somebody(&self, number: u32, user: &str) -> (Person, String, String) {
        let person = person(number, user);
        let id = self.okta.create(&person).await;
        let session = self.store.sign_in(user).await;
        (person, id, session)
    }

    /// The sessions of `user` are gone, for one reason.
    async fn left_once(&self, user: &str, session: &str, event: &str) {
        self.store.ends(session).await;
        self.world.reached(user, "web", "verified").await;
        let ended = ["identity.suspended", "identity.departed"];
        let types = self.world.events_of(user).await;
        let about_the_end: Vec<&String> = types.iter().filter(|t| ended.contains(&t.as_str())).collect();
        assert_eq!(about_the_end, [event], "{user}: {types:?}");
    }
}

#[tokio::test]
async fn every_shape_of_a_deactivation_is_one_event() {
    let world = World::start(|names| names.usual()).await;
    let stage = Stage { store: world.store("web").await, okta: world.scim("okta"), world };

    let patches: [(&str, Value); 4] = [
        ("entra", json!({"op": "Replace", "path": "active", "value": "False"})),
        ("text", json!({"op": "replace", "path": "active", "value": "false"})),
        ("boolean", json!({"op": "Replace", "path": "active", "value": false})),
        ("pathless", json!({"op": "replace", "value": {"active": false}})),
    ];
    for (number, (user, operation)) in (1001..).zip(&patches) {
        let (_, id, session) = stage.somebody(number, user).await;
        for _twice in 0..2 {
            let answer = stage.okta.patch(&id, operation).await.expect_status(200);
            assert_eq!(answer.json()["active"], false, "{user}");
        }
        stage.left_once(user, &session, "identity.suspended").await;
        assert_eq!(stage.okta.get(&id).await.expect_status(200).json()["active"], false, "{user} can still be read");
    }

    let (put, id, session) = stage.somebody(1011, "put").await;
    for _twice in 0..2 {
        stage.okta.put(&id, &put, false).await.expect_status(200);
    }
    stage.left_once("put", &session, "identity.suspended").await;

    let (_, id, session) = stage.somebody(1012, "deleted").await;
    stage.okta.delete(&id).await.expect_status(204);
    stage.okta.delete(&id).await.expect_status(404);
    stage.left_once("deleted", &session, "identity.departed").await;
    stage.okta.get(&id).await.expect_status(404);

    let linked = person(1013, "linked");
    stage.world.hr(std::slice::from_ref(&linked)).await.expect_code(0);
    let session = stage.store.sign_in("linked").await;
    stage.okta.post(&linked, false).await.expect_status(201);
    stage.left_once("linked", &session, "identity.suspended").await;
}

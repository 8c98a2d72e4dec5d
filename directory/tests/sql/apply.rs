//! What sources say becomes accounts, identities, events, contexts and pending rows, all or nothing.

use directory::{Applied, Cause};
use lifecycle::account::Profile;
use lifecycle::{AccountFacts, Class, Standing};
use serde_json::json;

use crate::world::{PLENTY, World, cause, eventually, person, standing};

#[tokio::test]
async fn a_new_person_is_one_event_with_its_context_and_its_pending_row() {
    let world = World::new().await;
    let applied = world.pull("hr", &[person("ana")]).await;
    assert_eq!(applied, Applied { created: 1, updated: 0, unchanged: 0, events: 1 });
    let ana = world.who("ana").await;
    assert_eq!((ana.state.as_str(), ana.version, ana.generation), ("active", 1, 1));
    let told = world.told_of(ana.id).await;
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].what.as_str(), told[0].version, told[0].prev), ("identity.created", 1, 0));
    assert_eq!(*told[0].data(), json!({"state": "active", "source": "hr", "via": "test"}));
    let context: serde_json::Value =
        world.ask("SELECT context FROM ledger.event_context JOIN ledger.events e ON e.id = event WHERE type = 'identity.created'").await;
    assert_eq!(context["identity"]["userName"], "ana");
    let pending: i64 = world.ask("SELECT count(*) FROM ledger.pending p JOIN ledger.events e USING (id, lane)").await;
    assert_eq!(pending, 2, "of the person and of the source's baseline");
}

#[tokio::test]
async fn no_event_carries_personal_data() {
    let world = World::new().await;
    let profile = Profile {
        user_name: Some("ana.secret".to_owned()),
        email: Some("ana.secret@example.com".to_owned()),
        department: Some("secret dept".to_owned()),
        ..Profile::default()
    };
    let facts = AccountFacts { profile, ..person("7") };
    world.pull("hr", std::slice::from_ref(&facts)).await;
    world.pull("hr", &[standing(Standing::Inactive, facts)]).await;
    let leaked: i64 = world.ask("SELECT count(*) FROM ledger.events WHERE body ILIKE '%secret%'").await;
    assert_eq!(leaked, 0);
}

#[tokio::test]
async fn an_unchanged_page_writes_nothing() {
    let world = World::new().await;
    let page = [person("ana"), standing(Standing::Inactive, person("bob"))];
    world.pull("hr", &page).await;
    let rows = "SELECT string_agg(x, ',' ORDER BY x) FROM (
        SELECT xmin::text AS x FROM directory.accounts UNION ALL SELECT xmin::text FROM directory.identities) all_rows";
    let before: String = world.ask(rows).await;
    let told = world.told().await.len();
    let applied = world.pull("hr", &page).await;
    assert_eq!(applied, Applied { created: 0, updated: 0, unchanged: 2, events: 0 });
    assert_eq!(world.ask::<String>(rows).await, before, "no row was written anew");
    assert_eq!(world.told().await.len(), told);
}

#[tokio::test]
async fn a_changed_profile_is_one_event_that_names_the_fields() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    world
        .change("okta", &ana.native_id, |facts| {
            facts.profile.department = Some("sales".to_owned());
            facts.profile.manager = Some("bob".to_owned());
        })
        .await;
    let told = world.told_of(ana.identity_id).await;
    assert_eq!(world.history(ana.identity_id).await, ["identity.created", "identity.updated"]);
    assert_eq!(told[1].data()["changed"], json!(["department", "manager"]));
    let before: serde_json::Value =
        world.ask("SELECT context -> 'before' FROM ledger.event_context ORDER BY event DESC LIMIT 1").await;
    assert_eq!(before.get("department"), None);
    assert_eq!(world.identity(ana.identity_id).await.department.as_deref(), Some("sales"));
}

#[tokio::test]
async fn each_change_of_state_is_its_event_and_only_a_return_from_departure_is_a_new_generation() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let mut seen = Vec::new();
    for stands in [Standing::Inactive, Standing::Active, Standing::Gone, Standing::Active] {
        world.set("okta", &ana.native_id, stands).await;
        let now = world.identity(ana.identity_id).await;
        seen.push((now.state, now.generation));
    }
    let expected = [("suspended", 1), ("active", 1), ("departed", 1), ("active", 2)];
    assert_eq!(seen, expected.map(|(state, generation)| (state.to_owned(), generation)));
    assert_eq!(
        world.history(ana.identity_id).await,
        ["identity.created", "identity.suspended", "identity.reinstated", "identity.departed", "identity.reinstated"]
    );
    let lanes: Vec<i16> = world.told_of(ana.identity_id).await.iter().map(|t| t.lane).collect();
    assert_eq!(lanes, [1, 0, 0, 0, 0], "the creation in bulk, the rest urgent");
    let prevs: Vec<i64> = world.told_of(ana.identity_id).await.iter().map(|t| t.prev).collect();
    assert_eq!(prevs, [0, 0, 2, 3, 4], "each lane counts its own");
}

#[tokio::test]
async fn unknown_neither_activates_nor_ends_anybody() {
    let world = World::new().await;
    let ana = world.create("okta", standing(Standing::Unknown, person("ana"))).await;
    assert_eq!(world.identity(ana.identity_id).await.state, "staged");
    world.set("okta", &ana.native_id, Standing::Active).await;
    world.set("okta", &ana.native_id, Standing::Unknown).await;
    assert_eq!(world.identity(ana.identity_id).await.state, "active");
    world.set("okta", &ana.native_id, Standing::Inactive).await;
    world.set("okta", &ana.native_id, Standing::Unknown).await;
    assert_eq!(world.identity(ana.identity_id).await.state, "suspended");
}

#[tokio::test]
async fn a_leaver_whom_the_export_drops_later_stays_departed() {
    let world = World::new().await;
    let ana = standing(Standing::Gone, person("ana"));
    world.pull("hr", &[person("ana"), person("bob")]).await;
    world.pull("hr", &[ana, person("bob")]).await;
    let departed = world.who("ana").await;
    assert_eq!(departed.state, "departed");
    world.pull("hr", &[person("bob")]).await;
    let later = world.who("ana").await;
    assert_eq!((later.state.as_str(), later.version), ("departed", departed.version), "absence softens no departure");
    world.pull("hr", &[person("ana"), person("bob")]).await;
    assert_eq!(world.who("ana").await.generation, 2, "so her return is a rehire");
}

#[tokio::test]
async fn a_mass_change_goes_by_the_bulk_lane_but_a_return_is_always_urgent() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let mass = Cause { class: Class::Mass, ..cause("okta") };
    for stands in [Standing::Inactive, Standing::Active] {
        let change = move |row: &directory::AccountRow| {
            let native_id = row.native_id.clone();
            Ok::<_, std::convert::Infallible>(AccountFacts { native_id, ..standing(stands, person("ana")) })
        };
        world.sync.change_user(&mass, PLENTY, &ana.native_id, change).await.unwrap();
    }
    let lanes: Vec<(String, i16, i16)> =
        world.told_of(ana.identity_id).await.into_iter().skip(1).map(|t| (t.what, t.lane, t.class)).collect();
    assert_eq!(lanes, [("identity.suspended".to_owned(), 1, 2), ("identity.reinstated".to_owned(), 0, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_stay_dense_under_eight_writers_on_ten_people() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(world.create("okta", person(&format!("p{n}"))).await.native_id);
    }
    let writers = (0..8).map(|writer| {
        let (world, ids) = (&world, &ids);
        async move {
            for step in 0..12 {
                let id = &ids[(writer * 3 + step * 7) % ids.len()];
                match (writer + step) % 4 {
                    0 => drop(world.set("okta", id, Standing::Inactive).await),
                    1 => drop(world.set("okta", id, Standing::Active).await),
                    2 => drop(world.set("okta", id, Standing::Gone).await),
                    _ => {
                        let department = format!("{writer}-{step}");
                        let change = move |f: &mut AccountFacts| f.profile.department = Some(department.clone());
                        world.change("okta", id, change).await;
                    }
                }
            }
        }
    });
    futures::future::join_all(writers).await;
    world.assert_clean_ledger().await;
    assert!(world.told().await.len() > 40, "the writers did meet");
    eventually("every event is readable in commit order", || async {
        let filter = directory::EventFilter { limit: 10_000, ..Default::default() };
        let told: i64 = world.ask("SELECT count(*) FROM ledger.events").await;
        world.console.events(&filter).await.unwrap().items.len() == usize::try_from(told).unwrap()
    })
    .await;
}

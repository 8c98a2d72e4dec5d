//! Bulk requests against what they ask for: whatever refers to whatever, in the end everybody is where the request said.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use scim::bulk::{Done, Method, Run};
use scim::{Bulk, Error};
use serde_json::{Value, json};

/// A request that creates groups, each with the members that are listed for it.
fn request(members: &[Vec<usize>]) -> Value {
    let group = |(own, members): (usize, &Vec<usize>)| {
        let members: Value = members.iter().map(|at| json!({"value": format!("bulkId:{at}")})).collect();
        json!({"method": "POST", "path": "/Groups", "bulkId": own.to_string(), "data": {
            "displayName": own.to_string(), "members": members}})
    };
    json!({"Operations": members.iter().enumerate().map(group).collect::<Value>()})
}

/// Carries it out on groups in memory, where the creation of `failing` is refused. Returns who is in each group, and the statuses.
fn carried_out(members: &[Vec<usize>], failing: Option<usize>) -> (BTreeMap<String, BTreeSet<String>>, Vec<String>) {
    let mut run = Run::new(Bulk::parse(&request(members)).unwrap(), "https://scim.example.com/v2");
    let mut groups = BTreeMap::<String, BTreeSet<String>>::new();
    let ids = |list: &Value| {
        list.as_array().into_iter().flatten().map(|one| one["value"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    while let Some(step) = run.next() {
        let (id, added) = match step.method {
            Method::Post => (format!("id-{}", step.data["displayName"].as_str().unwrap()), ids(&step.data["members"])),
            _ => (step.id.clone().unwrap(), ids(&step.data["Operations"][0]["value"])),
        };
        if step.method == Method::Post && failing.is_some_and(|at| id == format!("id-{at}")) {
            run.done(Err(Error::uniqueness("displayName")));
            continue;
        }
        assert_eq!(groups.contains_key(&id), step.method == Method::Patch, "created once, changed afterwards");
        for member in added {
            assert!(member == id || groups.contains_key(&member), "{member} is not there yet");
            groups.entry(id.clone()).or_default().insert(member);
        }
        groups.entry(id.clone()).or_default();
        run.done(Ok(Done { id, version: None }));
    }
    let response = run.response();
    let statuses = response["Operations"].as_array().unwrap().iter();
    (groups, statuses.map(|one| one["status"].as_str().unwrap().to_owned()).collect())
}

fn graphs() -> impl Strategy<Value = Vec<Vec<usize>>> {
    (1..12_usize).prop_flat_map(|count| proptest::collection::vec(proptest::collection::vec(0..count, 0..4), count))
}

proptest! {
    #[test]
    fn b1_32_every_group_ends_with_the_members_that_were_asked_for(members in graphs()) {
        let (groups, statuses) = carried_out(&members, None);
        prop_assert!(statuses.iter().all(|status| status == "201"));
        for (own, members) in members.iter().enumerate() {
            let wanted: BTreeSet<String> = members.iter().map(|at| format!("id-{at}")).collect();
            prop_assert_eq!(&groups[&format!("id-{own}")], &wanted);
        }
    }

    #[test]
    fn where_one_fails_those_that_need_it_say_so_and_the_others_are_complete(members in graphs(), failing in 0..12_usize) {
        prop_assume!(failing < members.len());
        let (groups, statuses) = carried_out(&members, Some(failing));
        for (own, members) in members.iter().enumerate() {
            // Not even created, or created and incomplete: in both cases the answer is a conflict.
            let complete = groups.get(&format!("id-{own}")).is_some_and(|held| {
                *held == members.iter().map(|at| format!("id-{at}")).collect()
            });
            prop_assert_eq!(statuses[own] == "201", complete, "{} of {:?}", own, statuses);
            prop_assert_eq!(statuses[own] == "409", !complete);
        }
    }
}

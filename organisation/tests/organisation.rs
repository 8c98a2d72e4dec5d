//! What whoever generates an organisation may rely on.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::{BTreeMap, HashMap, HashSet};

use connectors::{Config, Connector};
use organisation::{Organisation, Person, Profile, Status, write};
use proptest::prelude::*;
use serde_json::json;

fn profile(name: &str) -> &'static Profile {
    Profile::named(name).unwrap()
}

fn bytes(organisation: &Organisation) -> Vec<u8> {
    let mut out = Vec::new();
    write(organisation, &mut out, |_| {}).unwrap();
    out
}

fn by_number(organisation: Organisation) -> HashMap<u64, Person> {
    organisation.people().map(|person| (person.employee_number, person)).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_every_machine() {
    let organisation = Organisation::new(profile("corp-100k"), 1).of_people(2_000).on_day(100);
    let mut out = Vec::new();
    let written = write(&organisation, &mut out, |_| {}).unwrap();
    // Whoever changes this digest changes every organisation that anybody has generated before.
    let known = "782b0b2c680f48fe1c8965b07f3a867b2e49d987201637b358fcea6106740ad7";
    assert_eq!((written.rows, written.sha256.as_str()), (1_991, known));
}

#[test]
fn another_seed_day_or_profile_is_another_file() {
    let one = Organisation::new(profile("corp-100k"), 1).of_people(1_000);
    let others = [
        one.on_day(30),
        one.of_people(1_001),
        Organisation::new(profile("corp-100k"), 2).of_people(1_000),
        Organisation::new(profile("small-10k"), 1).of_people(1_000),
    ];
    for other in others {
        assert_ne!(bytes(&one), bytes(&other), "{other:?}");
    }
}

#[test]
fn a_day_brings_as_many_leavers_movers_and_joiners_as_the_profile_says() {
    let profile = profile("isp-1m");
    let organisation = Organisation::new(profile, 7).of_people(20_000);
    let (mut left, mut moved, mut came, mut back, mut people) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    let mut ever: HashSet<u64> = HashSet::new();
    for first in [0, 61, 62, 63, 64, 300, 301, 302] {
        let (before, after) = (by_number(organisation.on_day(first)), by_number(organisation.on_day(first + 1)));
        people += before.len() as u64;
        for (number, person) in &after {
            match before.get(number) {
                Some(old) if old.status != Status::Left && person.status == Status::Left => left += 1,
                Some(old) if old.status == Status::Left && person.status != Status::Left => back += 1,
                Some(old) => moved += u64::from(old.department != person.department),
                None => came += 1,
            }
        }
        ever.extend(before.keys());
    }
    let near = |found: u64, of_a_million: u64, what: &str| {
        let expected = people * of_a_million / 1_000_000;
        assert!((expected / 2..=expected * 2).contains(&found), "{found} {what} where {expected} were to be expected");
    };
    near(left, profile.leavers, "leavers");
    // One in fourteen moves within a department.
    near(moved, profile.movers, "movers");
    // On the first days nobody has left whose seat could be taken.
    near(came + back, profile.leavers * 3 / 4, "who came");
    assert!(back > 0, "some of them had left before");
}

#[test]
fn group_sizes_follow_zipf() {
    let organisation = Organisation::new(profile("corp-100k"), 1).of_people(20_000);
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    for group in organisation.people().flat_map(|person| person.groups) {
        *sizes.entry(group).or_default() += 1;
    }
    assert_eq!(sizes["everybody"], 20_000);
    assert!(sizes["team-1"] > 5_000, "{}", sizes["team-1"]);
    let small = sizes.values().filter(|size| **size < 20).count();
    assert!(small * 2 > sizes.len(), "{small} of {} groups are small", sizes.len());
    assert!((20..200).contains(&sizes["admins"]), "{}", sizes["admins"]);
}

#[test]
fn every_group_but_the_largest_is_in_a_larger_one() {
    let organisation = Organisation::new(profile("corp-100k"), 1);
    let mut known = HashSet::new();
    for group in organisation.groups() {
        assert!(group.parent.as_ref().is_none_or(|parent| known.contains(parent)), "{group:?}");
        assert_eq!(group.parent.is_none(), known.is_empty());
        known.insert(group.name);
    }
    let organisation = organisation.of_people(500);
    let teams = organisation.people().flat_map(|person| person.groups).filter(|name| name.starts_with("team-"));
    assert!(teams.into_iter().all(|team| known.contains(&team)));
}

#[test]
fn names_are_what_exports_get_wrong() {
    let people: Vec<Person> = Organisation::new(profile("small-10k"), 1).of_people(3_000).people().collect();
    let names = || people.iter().flat_map(|person| [&person.given_name, &person.family_name]);
    for special in ['"', ';', ',', '\u{308}', 'ß', 'İ', '李', 'ل', 'ﬁ'] {
        assert!(names().any(|name| name.contains(special)), "{special:?}");
    }
    let alike: HashSet<(&str, &str)> = people.iter().map(|p| (&*p.given_name, &*p.family_name)).collect();
    assert!(alike.len() < people.len(), "two people have one name");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn nobody_has_the_number_or_the_user_name_of_somebody_else(seed: u64, day in 0_u32..2_000, which in 0_usize..3) {
        let organisation = Organisation::new(Profile::named(Profile::ALL[which].name).unwrap(), seed).of_people(300);
        let people: Vec<Person> = organisation.on_day(day).people().collect();
        let numbers: HashSet<u64> = people.iter().map(|person| person.employee_number).collect();
        let users: HashSet<String> = people.iter().map(|person| person.user_name.to_lowercase()).collect();
        prop_assert_eq!((numbers.len(), users.len()), (people.len(), people.len()));
        // Whose manager left has another.
        let here = |number: u64| people.iter().any(|p| p.employee_number == number && p.status != Status::Left);
        prop_assert!(people.iter().filter_map(|person| person.manager).all(here));
        prop_assert!(people.iter().all(|p| p.end.is_none_or(|end| end >= p.start)));
        prop_assert!(people.len() * 100 > 90 * 300, "hardly any seat is empty");
    }
}

#[tokio::test]
async fn the_csv_connector_takes_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, manifest) = (folder.path().join("people.csv"), folder.path().join("people.json"));
    for name in Profile::ALL.map(|profile| profile.name) {
        let organisation = Organisation::new(profile(name), 1).of_people(1_500).on_day(90);
        let written = write(&organisation, std::fs::File::create(&file).unwrap(), |_| {}).unwrap();
        std::fs::write(&manifest, json!({"rows": written.rows, "sha256": written.sha256}).to_string()).unwrap();
        let config =
            json!({"type": "csv", "path": file, "key": "employeeNumber", "settle": "0s", "manifest": manifest});
        let Connector::Pull(csv) = serde_json::from_value::<Config>(config).unwrap().build(None).unwrap() else {
            panic!("a file is pulled")
        };
        let (mut at, mut rows) = (None, 0);
        loop {
            let batch = csv.pull(at.as_ref()).await.unwrap();
            assert_eq!((batch.parked, batch.seen_only), (vec![], vec![]), "{name}");
            rows += batch.changes.len() as u64;
            at = Some(batch.next);
            if !batch.more {
                break;
            }
        }
        assert_eq!(rows, written.rows, "{name}");
    }
}

//! Snapshots of what fixture files become, and tables of what is refused.

use std::collections::{BTreeMap, HashSet};
use std::error::Error as _;

use chrono_tz::{Europe::Berlin, Tz};
use lifecycle::Standing;
use proptest::prelude::*;
use serde_json::json;

use super::{
    Config,
    blocks::{Block, Known, RowDigest},
    mapping::People,
    survey::{self, Layout},
};
use crate::Error;

const PEOPLE: &[u8] = include_bytes!("fixtures/people.csv");
const PERSONAL: &[u8] = include_bytes!("fixtures/personal.csv");
const UNTIDY: &[u8] = include_bytes!("fixtures/untidy.csv");

fn config(more: serde_json::Value) -> Config {
    let mut fields = json!({ "path": "people.csv", "key": "employeeNumber" });
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(fields).unwrap()
}

fn plain() -> Config {
    config(json!({}))
}

fn german() -> Config {
    let map = json!({
        "employeeNumber": "personalnummer", "userName": "Login", "email": "Mail",
        "givenName": "Vorname", "familyName": "Nachname", "endDate": "Austritt",
    });
    config(json!({ "delimiter": ";", "map": map }))
}

/// Reads a whole file, in blocks of two rows on average.
fn people(bytes: &[u8], config: &Config, zone: Tz) -> Result<People, Error> {
    let layout = survey::survey(bytes, config, 2, None).unwrap().expect("nothing is known").layout?;
    Ok(given(bytes, &layout, |_| true, &HashSet::new(), config, zone))
}

/// Reads those blocks of a file.
fn given(
    bytes: &[u8],
    layout: &Layout,
    wanted: impl Fn(&Block) -> bool,
    said: &HashSet<RowDigest>,
    config: &Config,
    zone: Tz,
) -> People {
    let mut all = People::default();
    for block in layout.blocks.iter().filter(|block| wanted(block)) {
        let from = usize::try_from(block.offset).unwrap();
        let part = &bytes[from..from + block.content.length];
        assert!(survey::read(part, block, said, &layout.header, config, zone, &mut all).unwrap(), "the same bytes");
    }
    all
}

fn read(text: &str) -> Result<People, Error> {
    people(text.as_bytes(), &plain(), Tz::UTC)
}

/// `at: cause`, as a person is told.
fn refusal(text: &str, config: &Config) -> String {
    match people(text.as_bytes(), config, Tz::UTC) {
        Err(Error::Malformed { at, source }) => format!("{at}: {source}"),
        other => panic!("{text:?}: {other:?}"),
    }
}

/// Everybody who is not missing.
fn named(people: &People) -> Vec<&str> {
    let accounts = people.accounts.iter().map(|facts| facts.native_id.as_str());
    accounts.chain(people.seen_only.iter().map(String::as_str)).collect()
}

#[test]
fn a_full_file_becomes_facts() {
    let people = people(PEOPLE, &plain(), Tz::UTC).unwrap();
    assert_eq!(people.parked, []);
    insta::assert_json_snapshot!(people.accounts);
}

#[test]
fn a_foreign_file_with_a_byte_order_mark_becomes_facts() {
    let people = people(PERSONAL, &german(), Berlin).unwrap();
    assert_eq!(people.parked, []);
    insta::assert_json_snapshot!(people.accounts);
}

#[test]
fn what_cannot_be_understood_is_parked_and_nobody_is_missing_for_it() {
    let people = people(UNTIDY, &plain(), Tz::UTC).unwrap();
    assert_eq!(people.seen_only, ["2003", "2005"]);
    let standings: Vec<_> = people.accounts.iter().map(|facts| (facts.native_id.as_str(), facts.standing)).collect();
    let expected = [
        ("2001", Standing::Unknown),
        ("2002", Standing::Unknown),
        ("2004", Standing::Gone),
        ("2006", Standing::Active),
        ("2007", Standing::Active),
    ];
    assert_eq!(standings, expected);
    insta::assert_json_snapshot!(people.parked);
}

#[test]
fn a_file_without_a_status_column_names_active_people() {
    let people = read("employeeNumber,userName\n1,ana\n").unwrap();
    assert_eq!(people.accounts[0].standing, Standing::Active);
    assert_eq!(people.accounts[0].groups, None);
}

#[test]
fn a_header_alone_is_a_snapshot_of_nobody() {
    assert_eq!(read("employeeNumber,userName\n").unwrap().rows(), 0);
}

#[test]
fn headers_match_in_any_case_and_with_space_around_them() {
    let people = read(" EMPLOYEENUMBER , Status \n 1 , LEFT \n").unwrap();
    assert_eq!((named(&people), people.accounts[0].standing), (vec!["1"], Standing::Gone));
}

#[test]
fn a_status_may_have_other_words() {
    let config = config(json!({ "key": "employeeNumber", "map": { "left": "Terminated", "status": "State" } }));
    let people = people(b"employeeNumber,State\n1,terminated\n2,left\n3,active\n", &config, Tz::UTC).unwrap();
    let standings: Vec<_> = people.accounts.iter().map(|facts| facts.standing).collect();
    assert_eq!(standings, [Standing::Gone, Standing::Unknown, Standing::Active], "a renamed word has one name only");
}

#[test]
fn a_denial_counts_although_a_date_beside_it_is_unreadable() {
    let people = read("employeeNumber,status,endDate\n1,left,soon\n2,active,soon\n").unwrap();
    assert_eq!((people.accounts.len(), people.accounts[0].standing), (1, Standing::Gone));
    assert_eq!((people.seen_only, people.parked.len()), (vec!["2".to_owned()], 2), "both rows are parked all the same");
}

#[test]
fn the_key_may_be_any_column_of_the_file() {
    let text = "Badge,userName,email\nB1,ana,ana@example.com\n";
    let people = people(text.as_bytes(), &config(json!({ "key": "badge" })), Tz::UTC).unwrap();
    assert_eq!(named(&people), ["B1"]);
    assert_eq!(people.accounts[0].attributes, json!({ "Badge": "B1" }));
}

#[test]
fn one_column_may_be_several_of_ours() {
    let config = config(json!({ "key": "userName", "map": { "userName": "login", "email": "login" } }));
    let people = people(b"login,department\nana@example.com,Sales\n", &config, Tz::UTC).unwrap();
    let profile = &people.accounts[0].profile;
    assert_eq!(profile.user_name, profile.email);
}

#[test]
fn moving_columns_or_groups_is_no_change() {
    let one = read("employeeNumber,groups,floor,desk\n1,a;b,3,9\n").unwrap();
    let other = read("desk,groups,employeeNumber,floor\n9,b; a,1,3\n").unwrap();
    assert_eq!(one.accounts[0].content_hash(), other.accounts[0].content_hash());
}

#[test]
fn a_file_in_which_somebody_could_be_overlooked_is_refused() {
    let h = "employeeNumber,userName,status\n";
    for (text, at, why) in [
        (String::new(), "row 1", "empty file"),
        (format!("{h}1,ana,active"), "row 2", "the file does not end in a newline"),
        (format!("{h}1,ana\n"), "row 2, column status", "this row has 2 fields where the header has 3"),
        (format!("{h}1,ana,active,\n"), "row 2, column 4", "this row has 4 fields where the header has 3"),
        (format!("{h}1,ana,active\n ,bo,left\n"), "row 3, column employeeNumber", "the key is empty"),
        (format!("{h}7,a,\n\n8,b,\n 7,c,\n"), "row 5, column employeeNumber", "rows 2 and 5 have the same key"),
        (format!("{h}1,\"ana,active\n2,bo,left\n"), "row 2, column userName", "a quote is opened and never closed"),
        (format!("{h}1,\"ana,active\n2,\"bo\",left\n"), "row 2, column userName", "text follows a closing quote"),
        ("employeeNumber,mail,Mail \n".to_owned(), "row 1", "columns 2 and 3 have the same header"),
    ] {
        let refusal = refusal(&text, &plain());
        assert!(refusal.starts_with(&format!("{at}: {why}")), "{refusal}");
    }
}

#[test]
fn a_missing_column_is_named_with_the_headers_that_are_there() {
    assert_eq!(
        refusal("userName,email,Floor\n", &plain()),
        "row 1: there is no column employeeNumber; the header has userName, email, Floor"
    );
    let mapped = config(json!({ "map": { "status": "Stand" } }));
    assert_eq!(
        refusal("employeeNumber,email,status\n", &mapped),
        "row 1: there is no column Stand; the header has employeeNumber, email, status"
    );
}

#[test]
fn a_person_where_the_header_should_be_is_not_repeated() {
    for text in ["17,ana,ana@example.com,Manager\n", "employeeNumber;userName\n17;ana\n"] {
        let refusal = refusal(text, &plain());
        assert!(refusal.starts_with("row 1: the header has hardly any known column"), "{refusal}");
        assert!(!refusal.contains("ana"), "{refusal}");
    }
}

#[test]
fn no_refusal_repeats_a_cell() {
    let secret = "s3cret";
    let h = "employeeNumber,userName,status,startDate,endDate,timezone\n";
    for row in [
        "s3cret,\"s3cret\"s3cret,s3cret\n",
        "s3cret,s3cret\n",
        "s3cret,s3cret,,,,\ns3cret,,,,,\n",
        "s3cret,\"s3cret,,,,\n",
        "s3cret,s3cret\rs3cret,,,,\n",
        "s3cret,s3cret,s3cret,s3cret,s3cret,s3cret\n",
    ] {
        let said = match read(&format!("{h}{row}")) {
            Ok(people) => format!("{:?}", people.parked),
            Err(error) => format!("{error} {:?} {error:?}", error.source()),
        };
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn a_file_cut_at_any_byte_is_refused_unless_it_is_cut_between_two_rows() {
    for (file, config) in [(PEOPLE, plain()), (PERSONAL, german()), (UNTIDY, plain())] {
        let all = people(file, &config, Tz::UTC).unwrap();
        for cut in 0..file.len() {
            let Ok(part) = people(&file[..cut], &config, Tz::UTC) else { continue };
            // Only the brake (or a manifest) can see this one: what is left is a good file of fewer people.
            assert_eq!(file[cut - 1], b'\n', "cut at byte {cut}");
            assert!(part.rows() < all.rows() || named(&part) == named(&all), "cut at byte {cut}");
            assert_eq!(part.accounts[..], all.accounts[..part.accounts.len()], "cut at byte {cut}");
        }
    }
}

/// Everybody in a file by name, with where somebody could not be read.
fn state(people: People) -> BTreeMap<String, String> {
    let accounts = people.accounts.into_iter().map(|facts| (facts.native_id.clone(), format!("{facts:?}")));
    accounts.chain(people.seen_only.into_iter().map(|name| (name, "parked".to_owned()))).collect()
}

/// One way in which a file differs from the one before.
#[derive(Debug, Clone)]
enum Edit {
    Insert(usize, String),
    Remove(usize),
    Repeat(usize, usize),
    Swap(usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let row = "([0-9]{1,2},(active|left|soon)?,(\"x\n,\")?|)";
    let at = 0..64_usize;
    prop_oneof![
        4 => (at.clone(), row).prop_map(|(at, row)| Edit::Insert(at, row)),
        3 => at.clone().prop_map(Edit::Remove),
        1 => (at.clone(), at.clone()).prop_map(|(from, to)| Edit::Repeat(from, to)),
        2 => (at.clone(), at).prop_map(|(one, other)| Edit::Swap(one, other)),
    ]
}

fn edited(rows: &mut Vec<String>, edit: Edit) {
    let many = rows.len();
    match edit {
        Edit::Insert(at, row) => rows.insert(at % (many + 1), row),
        Edit::Remove(at) if many > 0 => drop(rows.remove(at % many)),
        Edit::Repeat(from, to) if many > 0 => rows.insert(to % many, rows[from % many].clone()),
        Edit::Swap(one, other) if many > 0 => rows.swap(one % many, other % many),
        _ => {}
    }
}

fn file(rows: &[String]) -> Vec<u8> {
    let mut file = b"employeeNumber,status,userName\n".to_vec();
    rows.iter().for_each(|row| file.extend(format!("{row}\n").bytes()));
    file
}

proptest! {
    #[test]
    fn what_is_new_in_a_file_and_who_is_gone_make_of_the_one_before_what_all_of_it_says(
        people in prop::collection::btree_map("[0-9]{1,2}", "(active|left|soon)?", 0..40),
        edits in prop::collection::vec(edit(), 0..6),
        average in 1..6_u16,
    ) {
        let mut rows: Vec<String> = people.iter().map(|(key, status)| format!("{key},{status},user{key}")).collect();
        let (config, before, nothing) = (plain(), file(&rows), HashSet::new());
        let known = survey::survey(&before[..], &config, average, None).unwrap().unwrap().layout.unwrap();
        let understood: Vec<bool> = known.blocks.iter()
            .map(|block| given(&before, &known, |other| std::ptr::eq(block, other), &nothing, &config, Tz::UTC).parked.is_empty())
            .collect();
        let mut kept = state(given(&before, &known, |_| true, &nothing, &config, Tz::UTC));

        edits.into_iter().for_each(|edit| edited(&mut rows, edit));
        let after = file(&rows);
        let whole = survey::survey(&after[..], &config, average, None).unwrap().unwrap();
        let known = Known::new(&known, &understood);
        let found = survey::survey(&after[..], &config, average, Some(&known)).unwrap();
        prop_assert_eq!(found.is_some(), whole.layout.is_ok());
        let (Some(found), Ok(all)) = (found, &whole.layout) else { return Ok(()) };
        prop_assert_eq!((&found.sha256, found.size, found.rows), (&whole.sha256, whole.size, whole.rows));
        let layout = found.layout.unwrap();
        for name in known.gone(&layout.blocks) {
            prop_assert!(kept.remove(&name).is_some(), "{} was not there", name);
        }
        let new = given(&after, &layout, |block| block.known.is_none(), &known.said(&layout), &config, Tz::UTC);
        kept.extend(state(new));
        prop_assert_eq!(kept, state(given(&after, all, |_| true, &nothing, &config, Tz::UTC)));
    }

    #[test]
    fn nobody_is_lost_within_a_row_wherever_a_file_is_cut(
        names in prop::collection::vec("[a\",;\n ü]{0,6}", 1..6), share in 0.0..1.0_f64
    ) {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(["employeeNumber", "userName"]).unwrap();
        let mut boundaries = Vec::new();
        for (i, name) in names.iter().enumerate() {
            writer.flush().unwrap();
            boundaries.push(writer.get_ref().len());
            writer.write_record([&i.to_string(), name]).unwrap();
        }
        let file = writer.into_inner().unwrap();
        let whole = people(&file, &plain(), Tz::UTC).unwrap();
        prop_assert_eq!(whole.rows(), names.len());
        let cut = (file.len() as f64 * share) as usize;
        match people(&file[..cut], &plain(), Tz::UTC) {
            Ok(part) => prop_assert_eq!(boundaries.iter().position(|boundary| *boundary == cut), Some(part.rows())),
            Err(error) => prop_assert!(matches!(error, Error::Malformed { .. }), "{:?}", error),
        }
    }
}

//! What every connector owes the worker, shown through the public interface on real files.
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::{
    error::Error as _,
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use connectors::{Batch, Checkpoint, Config, Connector, Coverage, Error, Pull};
use lifecycle::Change;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const PEOPLE: &str = include_str!("../src/csv/fixtures/people.csv");

/// A directory that HR exports to.
struct Export {
    directory: TempDir,
}

impl Export {
    fn of(text: &str) -> Self {
        let export = Self { directory: TempDir::new().unwrap() };
        export.write(text.as_bytes());
        export
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("people.csv")
    }

    fn manifest(&self) -> PathBuf {
        self.directory.path().join("people.json")
    }

    fn write(&self, bytes: &[u8]) {
        fs::write(self.path(), bytes).unwrap();
    }

    fn state(&self, manifest: Value) {
        fs::write(self.manifest(), manifest.to_string()).unwrap();
    }

    fn change_time(&self, modified: SystemTime) {
        fs::File::options().append(true).open(self.path()).unwrap().set_modified(modified).unwrap();
    }

    fn connector(&self, more: Value) -> Connector {
        let mut fields = json!({ "type": "csv", "path": self.path(), "key": "employeeNumber", "settle": "0s" });
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value::<Config>(fields).unwrap().build(None).unwrap()
    }

    async fn pull(&self, more: Value) -> Result<Batch, Error> {
        pulled(&self.connector(more)).pull(None).await
    }
}

fn pulled(connector: &Connector) -> &dyn Pull {
    match connector {
        Connector::Pull(pull) => pull.as_ref(),
        Connector::Push(_) => panic!("a pushed source"),
    }
}

fn ids(batch: &Batch) -> Vec<&str> {
    batch.changes.iter().map(id).collect()
}

fn id(change: &Change) -> &str {
    match change {
        Change::Account(facts) => &facts.native_id,
        Change::Deleted { native_id } => native_id,
    }
}

fn cause(result: Result<Batch, Error>) -> String {
    match result {
        Err(Error::Unavailable(cause)) => cause.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_same_source_gives_the_same_batch_from_any_checkpoint() {
    let export = Export::of(PEOPLE);
    let connector = export.connector(json!({}));
    let first = pulled(&connector).pull(None).await.unwrap();
    assert_eq!((&first.coverage, first.more), (&Coverage::Snapshot, false));
    assert_eq!(ids(&first), ["1001", "1002", "1003", "1004", "1005"]);
    // Another process, which has not read it.
    let other = export.connector(json!({}));
    assert_eq!(pulled(&other).pull(Some(&first.next)).await.unwrap(), first);
}

#[tokio::test]
async fn the_checkpoint_tells_which_file_was_read() {
    let export = Export::of("employeeNumber\n1\n");
    export.change_time(SystemTime::UNIX_EPOCH + Duration::from_millis(1_500));
    let next = export.pull(json!({})).await.unwrap().next;
    let sha256 = hex::encode(Sha256::digest("employeeNumber\n1\n"));
    assert_eq!(next.0, json!({ "sha256": sha256, "rows": 1, "mtime": "1970-01-01T00:00:01.500Z" }));
}

#[tokio::test]
async fn one_bad_record_does_not_hide_the_good_ones() {
    let export = Export::of("employeeNumber,endDate\n1,soon\n2,2026-12-31\n");
    let batch = export.pull(json!({})).await.unwrap();
    assert_eq!((ids(&batch), &batch.seen_only[..]), (vec!["2"], &["1".to_owned()][..]));
    assert_eq!(batch.parked[0].at, "row 2, column endDate");
}

#[tokio::test]
async fn a_source_out_of_reach_is_unavailable_and_nobody_is_missing() {
    let export = Export::of(PEOPLE);
    fs::remove_file(export.path()).unwrap();
    let error = export.pull(json!({})).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(error.source().unwrap().to_string().starts_with("cannot read "), "{error:?}");
    fs::create_dir(export.path()).unwrap();
    assert!(cause(export.pull(json!({})).await).ends_with("is not a regular file"));
}

#[tokio::test]
async fn with_a_manifest_a_file_cut_at_any_byte_is_refused() {
    let export = Export::of(PEOPLE);
    export.state(json!({ "rows": 5, "sha256": hex::encode_upper(Sha256::digest(PEOPLE)), "by": "hr" }));
    let connector = export.connector(json!({ "manifest": export.manifest() }));
    assert_eq!(pulled(&connector).pull(None).await.unwrap().changes.len(), 5);
    for cut in 0..PEOPLE.len() {
        export.write(&PEOPLE.as_bytes()[..cut]);
        let refused = pulled(&connector).pull(None).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "cut at byte {cut}: {refused:?}");
    }
}

#[tokio::test]
async fn a_manifest_that_disagrees_is_quoted_with_both_numbers() {
    let export = Export::of("employeeNumber\n1\n2\n");
    let with_manifest = json!({ "manifest": export.manifest() });
    assert!(cause(export.pull(with_manifest.clone()).await).starts_with("cannot read "));
    fs::write(export.manifest(), "{\"rows\":").unwrap();
    assert!(cause(export.pull(with_manifest.clone()).await).contains("is not JSON of the shape"));
    export.state(json!({ "rows": 3, "sha256": "00" }));
    let rows = cause(export.pull(with_manifest.clone()).await);
    assert!(rows.starts_with("the manifest states 3 rows and the file has 2"), "{rows}");
    export.state(json!({ "rows": 2, "sha256": "00" }));
    let digest = cause(export.pull(with_manifest).await);
    assert!(digest.starts_with("the manifest states SHA-256 00 and the file has "), "{digest}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_still_being_written_is_left_alone() {
    let export = Export::of("employeeNumber\n1\n");
    let connector = export.connector(json!({ "settle": "60s" }));
    let writing = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        export.write(b"employeeNumber\n1\n2\n");
    };
    let (refused, ()) = tokio::join!(pulled(&connector).pull(None), writing);
    assert!(cause(refused).ends_with("is still being written"));
    // Nobody writes any more, so waiting is enough.
    assert_eq!(ids(&pulled(&connector).pull(None).await.unwrap()), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_replaced_by_another_of_the_same_age_and_size_is_noticed() {
    let export = Export::of("employeeNumber\n1\n");
    let modified = SystemTime::now();
    export.change_time(modified);
    let connector = export.connector(json!({ "settle": "60s" }));
    let replacing = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let other = Export::of("employeeNumber\n2\n");
        other.change_time(modified);
        fs::rename(other.path(), export.path()).unwrap();
    };
    let (refused, ()) = tokio::join!(pulled(&connector).pull(None), replacing);
    assert!(cause(refused).ends_with("is still being written"));
}

#[tokio::test(start_paused = true)]
async fn only_a_young_file_is_waited_for() {
    let export = Export::of("employeeNumber\n1\n");
    let connector = export.connector(json!({ "settle": "60s" }));
    for (modified, at_least, at_most) in [
        (SystemTime::now() - Duration::from_secs(61), 0, 0),
        (SystemTime::now() - Duration::from_secs(30), 1, 30),
        (SystemTime::now() + Duration::from_secs(3600), 60, 61),
    ] {
        export.change_time(modified);
        let begun = tokio::time::Instant::now();
        pulled(&connector).pull(None).await.unwrap();
        let waited = begun.elapsed().as_secs();
        assert!((at_least..=at_most).contains(&waited), "{waited} s");
    }
}

#[tokio::test]
async fn a_probe_says_what_was_found() {
    let export = Export::of("employeeNumber,status\n1,active\n2,retired\n");
    let found = export.connector(json!({})).probe().await.unwrap();
    assert_eq!(found, format!("{}, 2 rows, key employeeNumber unique, 1 parked", export.path().display()));
    let scim = serde_json::from_value::<Config>(json!({ "type": "scim", "tokens": ["x"] })).unwrap();
    let found = scim.build(None).unwrap().probe().await.unwrap();
    assert_eq!(found, "waits for SCIM requests, 1 token in the configuration");
}

/// So many people, each with a number and a name.
fn many(people: usize) -> String {
    (1..=people).fold("employeeNumber,userName\n".to_owned(), |text, n| text + &format!("{n},user{n}\n"))
}

#[tokio::test]
async fn a_large_file_comes_in_pages_of_which_the_last_ends_the_snapshot() {
    let export = Export::of(&many(4_001));
    let connector = export.connector(json!({}));
    let (mut at, mut sizes, mut all) = (None, Vec::new(), Vec::new());
    loop {
        let batch = pulled(&connector).pull(at.as_ref()).await.unwrap();
        assert_eq!(batch.coverage, Coverage::Snapshot);
        sizes.push(batch.changes.len());
        all.extend(ids(&batch).into_iter().map(str::to_owned));
        at = Some(batch.next);
        if !batch.more {
            break;
        }
    }
    assert!(sizes.len() >= 3 && sizes.iter().all(|size| *size <= 2_000), "{sizes:?}");
    assert_eq!(all, (1..=4_001).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// The last page of what there is from here.
async fn last(pull: &dyn Pull, mut at: Option<Checkpoint>) -> Batch {
    loop {
        let batch = pull.pull(at.as_ref()).await.unwrap();
        if !batch.more {
            return batch;
        }
        at = Some(batch.next);
    }
}

#[tokio::test]
async fn a_file_of_which_all_was_read_and_understood_is_not_read_again_while_it_is_the_same() {
    let export = Export::of(&many(4_001));
    let connector = export.connector(json!({ "manifest": export.manifest() }));
    let pull = pulled(&connector);
    let sha256 = |text: &str| hex::encode(Sha256::digest(text));
    export.state(json!({ "rows": 4_001, "sha256": sha256(&many(4_001)) }));
    let read = last(pull, None).await;
    assert_eq!(read.coverage, Coverage::Snapshot);

    export.change_time(SystemTime::UNIX_EPOCH);
    let again = pull.pull(Some(&read.next)).await.unwrap();
    assert_eq!((again.coverage, again.more), (Coverage::Since { rows: 4_001, gone: Vec::new() }, false));
    assert_eq!((again.changes.len(), again.seen_only.len()), (0, 0));
    assert_eq!(again.next.0["mtime"], "1970-01-01T00:00:00.000Z", "of what is there now");
    let begun = pull.pull(None).await.unwrap();
    assert!(begun.changes.len() > 1_000 && begun.more, "all of it was asked for");

    // Since then only its first page was read.
    let begun = pull.pull(Some(&again.next)).await.unwrap();
    assert_eq!((begun.coverage, begun.more), (Coverage::Snapshot, true));
    let read = last(pull, None).await;
    export.state(json!({ "rows": 4_000, "sha256": sha256(&many(4_001)) }));
    assert!(cause(pull.pull(Some(&read.next)).await).starts_with("the manifest states 4000 rows"));
    // What another process read says nothing of what this one understood.
    export.state(json!({ "rows": 4_001, "sha256": sha256(&many(4_001)) }));
    let other = export.connector(json!({ "manifest": export.manifest() }));
    assert_eq!(pulled(&other).pull(Some(&read.next)).await.unwrap().coverage, Coverage::Snapshot);
}

#[tokio::test]
async fn of_a_file_that_has_changed_only_rows_that_are_new_are_given_and_whoever_is_gone_is_named() {
    let text = many(4_001);
    let export = Export::of(&text);
    let connector = export.connector(json!({}));
    let pull = pulled(&connector);
    let read = last(pull, None).await;

    let other = text.replace("17,user17\n", "17,user71\n").replace("2000,user2000\n", "") + "4002,user4002\n";
    export.write(other.as_bytes());
    let new = pull.pull(Some(&read.next)).await.unwrap();
    assert_eq!((new.coverage.clone(), new.more), (Coverage::Since { rows: 4_001, gone: vec!["2000".into()] }, false));
    assert_eq!(ids(&new), ["17", "4002"]);
    // And from there on.
    export.write(text.as_bytes());
    let back = pull.pull(Some(&new.next)).await.unwrap();
    assert_eq!(back.coverage, Coverage::Since { rows: 4_001, gone: vec!["4002".into()] });
    assert_eq!(ids(&back), ["17", "2000"]);
    // The checkpoint of a run that failed, or that was never stored, is no beginning.
    assert_eq!(pull.pull(Some(&read.next)).await.unwrap().coverage, Coverage::Since { rows: 4_001, gone: Vec::new() });
    export.write(other.as_bytes());
    assert_eq!(pull.pull(Some(&new.next)).await.unwrap().coverage, Coverage::Snapshot);
}

#[tokio::test]
async fn a_file_with_other_columns_or_somebody_twice_is_read_as_a_whole() {
    let text = many(4_001);
    let export = Export::of(&text);
    let connector = export.connector(json!({}));
    let pull = pulled(&connector);
    let read = last(pull, None).await;
    export.write((text.clone() + "3,again\n").as_bytes());
    let refused = pull.pull(Some(&read.next)).await.unwrap_err();
    assert_eq!(refused.source().unwrap().to_string(), "rows 4 and 4003 have the same key");
    export.write(text.replace("userName", "email").as_bytes());
    let new = pull.pull(Some(&read.next)).await.unwrap();
    assert_eq!(
        (new.coverage, new.more),
        (Coverage::Since { rows: 4_001, gone: Vec::new() }, true),
        "everybody is named"
    );
}

#[tokio::test]
async fn rows_that_were_parked_are_told_again_however_often() {
    let export = Export::of("employeeNumber,status\n1,active\n2,retired\n");
    let connector = export.connector(json!({}));
    let first = pulled(&connector).pull(None).await.unwrap();
    let again = pulled(&connector).pull(Some(&first.next)).await.unwrap();
    assert_eq!((&again.parked, again.coverage), (&first.parked, Coverage::Since { rows: 2, gone: Vec::new() }));
}

#[tokio::test]
async fn a_flaw_on_the_last_page_refuses_the_first_one() {
    for wrong in ["1,again\n", ",nobody\n", "4002,\"open\n", "4002,cut"] {
        let export = Export::of(&(many(4_001) + wrong));
        let refused = export.pull(json!({})).await;
        assert!(matches!(refused, Err(Error::Malformed { .. })), "{wrong}: {refused:?}");
    }
}

#[tokio::test]
async fn a_file_that_changes_between_two_pages_ends_the_reading() {
    let text = many(2_001);
    let export = Export::of(&text);
    let connector = export.connector(json!({}));
    let written = fs::metadata(export.path()).unwrap().modified().unwrap();
    let first = pulled(&connector).pull(None).await.unwrap();
    // Of the same size, age and inode: only its bytes tell.
    export.write(text.replace("2001,user2001", "2001,user2002").as_bytes());
    export.change_time(written);
    assert!(cause(pulled(&connector).pull(Some(&first.next)).await).ends_with("is still being written"));
    export.write(many(2_000).as_bytes());
    assert!(cause(pulled(&connector).pull(Some(&first.next)).await).ends_with("is still being written"));
}

#[tokio::test]
async fn another_process_cannot_go_on_between_two_pages() {
    let export = Export::of(&many(2_001));
    let next = export.pull(json!({})).await.unwrap().next;
    let expired = pulled(&export.connector(json!({}))).pull(Some(&next)).await;
    assert!(matches!(expired, Err(Error::CheckpointExpired)), "{expired:?}");
}

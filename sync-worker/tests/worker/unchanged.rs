//! What has not changed in a file since the last run is not read again, and everything but its reading happens all the same.

use std::sync::Arc;

use chrono::{Duration, SecondsFormat, Utc};
use directory::Role;
use serde_json::json;
use sync_worker::{Outcome, RunReport, SyncWorker};

use crate::site::{Site, until};

fn file(rows: impl Iterator<Item = String>) -> String {
    rows.fold("employeeNumber,userName\n".to_owned(), |text, row| text + &row + "\n")
}

/// What a reading of everybody would notice and mend.
const FORGET: &str = "UPDATE directory.accounts SET content_hash = ''";

async fn worker(site: &Site) -> Arc<SyncWorker> {
    let sync = site.directory(Role::Sync).await;
    sync.register_sources().await.unwrap();
    site.idle("here", sync, None)
}

async fn run(worker: &SyncWorker) -> RunReport {
    worker.run(&worker.pulled["people"], false).await.unwrap()
}

#[tokio::test]
async fn an_unchanged_file_is_read_again_only_after_a_run_that_failed_or_when_all_of_it_is_asked_for() {
    let site = Site::new().await;
    let worker = worker(&site).await;
    assert_eq!(run(&worker).await.counts.create, 2);
    site.run(FORGET).await;
    let report = run(&worker).await;
    assert_eq!((report.rows, report.unchanged, report.counts.update), (2, 2, 0), "{report:?}");

    let whole = worker.run(&worker.pulled["people"], true).await.unwrap();
    assert_eq!(whole.counts.update, 2, "{whole:?}");
    site.run(FORGET).await;
    // Some of it may be stored.
    site.run("INSERT INTO working.runs (id, source, outcome) VALUES (gen_random_uuid(), 'people', 'failed')").await;
    let report = run(&worker).await;
    assert_eq!(report.counts.update, 2, "{report:?}");
}

#[tokio::test]
async fn a_last_day_passes_at_a_source_whose_file_does_not_change_and_waits_for_a_person_once() {
    let site = Site::new().await;
    let last = (Utc::now() + Duration::milliseconds(1_500)).to_rfc3339_opts(SecondsFormat::Millis, true);
    site.write(format!("employeeNumber,userName,endDate\n1,ana,\n2,ben,{last}\n"));
    let worker = worker(&site).await;
    assert_eq!(run(&worker).await.outcome, Outcome::Complete);
    site.run(FORGET).await;

    let held = until("the day to have passed", async || {
        let report = run(&worker).await;
        assert_eq!((report.rows, report.counts.update), (2, 0), "nothing is read: {report:?}");
        (report.outcome == Outcome::Held).then_some(report)
    })
    .await;
    assert_eq!(held.counts.delete, 1, "{held:?}");
    let again = run(&worker).await;
    assert_eq!((again.outcome, again.plan), (Outcome::Held, held.plan), "{again:?}");
    assert_eq!(site.active("people").await, ["1", "2"], "it is held");
}

#[tokio::test]
async fn of_a_file_that_has_changed_whoever_is_gone_waits_for_a_person_and_the_others_are_not_read() {
    let site = Site::new().await;
    let file = |row: fn(u32) -> Option<String>| file((0..1_000).filter_map(row));
    site.write(file(|n| Some(format!("{n},user{n}"))));
    let worker = worker(&site).await;
    assert_eq!(run(&worker).await.counts.create, 1_000);
    site.run(FORGET).await;

    site.write(file(|n| match n {
        17 => None,
        500 => Some("500,another".to_owned()),
        n => Some(format!("{n},user{n}")),
    }));
    let report = run(&worker).await;
    assert_eq!((report.rows, report.outcome, report.counts.disable), (999, Outcome::Held, 1), "{report:?}");
    let read = report.counts.update;
    assert!(read > 0 && read + report.unchanged == 999 && report.unchanged > 500, "{report:?}");
    // Whoever was missing before still is, although this file is the one of the checkpoint.
    let again = run(&worker).await;
    assert_eq!((again.plan, again.counts.disable, again.unchanged), (report.plan, 1, 999), "{again:?}");

    site.write(file(|n| Some(format!("{n},user{n}"))));
    let back = run(&worker).await;
    assert_eq!((back.outcome, back.counts.disable, back.rows), (Outcome::Complete, 0, 1_000), "{back:?}");
    assert_eq!(site.active("people").await.len(), 1_000);
    let whole = worker.run(&worker.pulled["people"], true).await.unwrap();
    assert!(
        whole.counts.update > 500 && whole.counts.update + whole.unchanged == 1_000,
        "what was not read: {whole:?}"
    );
}

#[tokio::test]
async fn the_brakes_share_is_one_of_everybody_although_few_rows_are_read() {
    let site = Site::new().await;
    let mut worker = worker(&site).await;
    let people = Arc::get_mut(&mut worker).and_then(|worker| worker.pulled.get_mut("people")).and_then(Arc::get_mut);
    people.unwrap().config.brake = serde_json::from_value(json!({ "max_disable": "5%", "min": 0 })).unwrap();
    for (first, outcome, gone) in [(0, Outcome::Complete, 0), (5, Outcome::Complete, 5), (10, Outcome::Held, 5)] {
        site.write(file((first..100).map(|n| format!("{n},user{n}"))));
        let report = run(&worker).await;
        assert_eq!((report.outcome, report.counts.disable), (outcome, gone), "{report:?}");
        let why = report.reasons.first().is_none_or(|why| why.contains("(95 active"));
        assert!(why, "{report:?}");
    }
    assert_eq!(site.active("people").await.len(), 95);
}

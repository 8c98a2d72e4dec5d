//! A worker that dies at any point where it waits for something: nobody is cut off, and the next run sets everything right.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Poll;

use directory::Role;
use sync_worker::{Pulled, SyncWorker};

use crate::faults::{Fault, Paged};
use crate::site::Site;

const HEADER: &str = "employeeNumber,userName,status,department,groups\n";
const BEFORE: &str =
    "1,ana,active,Sales,staff;admins\n2,ben,active,Sales,staff\n3,cleo,active,Sales,staff\n4,dan,active,Ops,\n";
/// Dan is missing, Ben has left, Ana lost a privileged group, Cleo moved, Eve is new.
const AFTER: &str =
    "1,ana,active,Sales,staff\n2,ben,left,Sales,staff\n3,cleo,active,Ops,staff\n5,eve,active,Ops,staff\n";

/// What ends somebody's access.
const LOST: &str = "SELECT count(*) FROM ledger.events WHERE type IN ('identity.suspended', 'identity.departed')
                    OR type = 'membership.removed' AND body::jsonb -> 'data' ->> 'privileged' = 'true'";

/// The same source, read in pages of two.
fn paged(worker: &SyncWorker) -> Pulled {
    let fresh = worker.pulled["people"].config.connector.build(None).unwrap();
    let connectors::Connector::Pull(inner) = fresh else { panic!("a pushed source") };
    let source = &worker.pulled["people"];
    let connector = Paged { inner, size: 2, fault: Fault::None, at: usize::MAX, asked: AtomicUsize::new(0) };
    Pulled {
        name: source.name.clone(),
        config: source.config.clone(),
        connector: Box::new(connector),
        fingerprint: source.fingerprint.clone(),
    }
}

/// Runs `work` until it has waited `times` times, and drops it there. Whether it ended before.
async fn until_waited(times: usize, work: impl Future) -> bool {
    let mut work = pin!(work);
    let mut waited = 0;
    std::future::poll_fn(|context| {
        if work.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        waited += 1;
        if waited >= times { Poll::Ready(false) } else { Poll::Pending }
    })
    .await
}

#[tokio::test]
async fn a_run_cut_off_anywhere_ends_nobody_and_the_next_one_sets_all_right() {
    let site = Site::new().await;
    let sync = site.directory(Role::Sync).await;
    sync.register_sources().await.unwrap();
    let worker: Arc<SyncWorker> = site.idle("here", sync.clone(), None);
    let everybody = ["1", "2", "3", "4"];
    site.write(format!("{HEADER}{BEFORE}"));
    worker.run(&paged(&worker), true).await.unwrap();
    assert_eq!(site.active("people").await, everybody);

    let (mut waits, mut cut, mut whole) = (0, 0, 0);
    loop {
        waits += 1;
        let lost = site.count(LOST).await;
        site.write(format!("{HEADER}{AFTER}"));
        let over = until_waited(waits, worker.run(&paged(&worker), true)).await;
        let active = site.active("people").await;
        // The brake of this source holds whatever would end access, so only the new one may have come.
        assert!(everybody.iter().all(|id| active.iter().any(|a| a == id)), "cut off at {waits}: {active:?}");
        assert_eq!(site.count(LOST).await, lost, "cut off at {waits}");

        let report = worker.run(&paged(&worker), true).await.unwrap();
        let plan = report.plan.expect("two would lose access, and one a privileged group");
        assert_eq!(
            (report.counts.disable, report.counts.delete, report.counts.privileged_loss),
            (1, 1, 1),
            "at {waits}"
        );
        sync.approve(plan, "jo", None).await.unwrap();
        assert_eq!(site.active("people").await, ["1", "3", "5"], "cut off at {waits}");
        // On a busy machine an answer may be there already, and a run waits less often than another: so not at the first.
        (cut, whole) = if over { (cut, whole + 1) } else { (cut + 1, 0) };
        if whole == 3 {
            break;
        }
        // And back, so that the next one begins where this one did.
        site.write(format!("{HEADER}{BEFORE}5,eve,left,Ops,staff\n"));
        let report = worker.run(&paged(&worker), true).await.unwrap();
        sync.approve(report.plan.expect("Eve is to leave"), "jo", None).await.unwrap();
        assert_eq!(site.active("people").await, everybody);
    }
    assert!(cut > 5, "runs are cut off in their midst, and not only before they begin: {cut} of {waits}");
    sync.close().await;
}

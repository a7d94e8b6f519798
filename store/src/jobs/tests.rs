//! Jobs, on each kind of database, claimed by many at once.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;

use super::*;
use crate::testing::{Data, on_each_database};

const LEASE: Duration = Duration::from_secs(30);

fn job(n: u32) -> NewJob {
    NewJob::new("render", json!({ "n": n }))
}

async fn claim(jobs: Jobs<'_>) -> Option<Claim> {
    jobs.claim(&["render"], LEASE).await.unwrap()
}

#[tokio::test]
async fn the_oldest_is_claimed_first_and_once() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let jobs = store.jobs();
        let first = jobs.enqueue(&job(1)).await.unwrap();
        data.after(5);
        let second = jobs.enqueue(&job(2)).await.unwrap();
        assert_eq!(first.state, JobState::Queued);
        assert!(
            jobs.claim(&["upload"], LEASE).await.unwrap().is_none(),
            "of another kind"
        );
        let claimed = claim(jobs).await.unwrap();
        assert_eq!((claimed.job.id, claimed.job.payload), (first.id, json!({"n": 1})));
        assert_eq!((claimed.job.state, claimed.job.attempts), (JobState::Running, 1));
        assert_eq!(claim(jobs).await.unwrap().job.id, second.id);
        assert!(claim(jobs).await.is_none());
        jobs.complete(&claimed.lease).await.unwrap();
        let done = jobs.get(first.id).await.unwrap();
        assert_eq!(
            (done.state, done.progress, done.lease_until),
            (JobState::Done, 1.0, None)
        );
        assert!(jobs.complete(&claimed.lease).await.is_err(), "once");
    })
    .await;
}

#[tokio::test]
async fn of_many_who_ask_at_once_one_gets_each() {
    on_each_database(async |data: Data| {
        let other = data.beside();
        let (store, beside) = (data.open().await, other.open().await);
        for n in 0..25 {
            store.jobs().enqueue(&job(n)).await.unwrap();
        }
        let askers = (0..40).map(|n| {
            let store = if n % 2 == 0 { &store } else { &beside };
            async move { store.jobs().claim(&["render"], LEASE).await.unwrap() }
        });
        let claims: Vec<_> = join_all(askers).await.into_iter().flatten().collect();
        let ids: BTreeSet<_> = claims.iter().map(|claim| claim.job.id).collect();
        assert_eq!((claims.len(), ids.len()), (25, 25));
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_ends_is_somebody_elses() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let jobs = store.jobs();
        let id = jobs.enqueue(&job(1)).await.unwrap().id;
        let slow = claim(jobs).await.unwrap();
        data.after(29_000);
        assert_eq!(
            jobs.heartbeat(&slow.lease, 0.5, LEASE).await.unwrap(),
            Heartbeat::Continue
        );
        assert!((jobs.get(id).await.unwrap().progress - 0.5).abs() < f64::EPSILON);
        data.after(29_000);
        assert!(claim(jobs).await.is_none(), "the heartbeat kept it");
        data.after(1_000);
        let fast = claim(jobs).await.unwrap();
        assert_eq!((fast.job.id, fast.job.attempts), (id, 2));
        for lost in [
            jobs.heartbeat(&slow.lease, 0.9, LEASE).await.map(|_| ()),
            jobs.complete(&slow.lease).await,
            jobs.fail(&slow.lease, "late", Retry::Never).await.map(|_| ()),
            jobs.cancelled(&slow.lease).await,
        ] {
            assert!(matches!(lost, Err(JobError::LeaseLost(lost)) if lost == id), "{lost:?}");
        }
        jobs.complete(&fast.lease).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_job_that_kills_its_process_is_not_tried_for_ever() {
    on_each_database(async |data: Data| {
        let mut store = data.open().await;
        let id = store.jobs().enqueue(&job(1)).await.unwrap().id;
        for attempt in 1..=3 {
            let claimed = claim(store.jobs()).await.unwrap();
            assert_eq!(claimed.job.attempts, attempt);
            store = data.reopen(store).await;
            assert_eq!(store.jobs().reclaim().await.unwrap(), 1);
        }
        assert!(claim(store.jobs()).await.is_none());
        let failed = store.jobs().get(id).await.unwrap();
        assert_eq!(failed.state, JobState::Failed);
        assert!(failed.failure.unwrap().contains("each time"));
    })
    .await;
}

#[tokio::test]
async fn what_another_process_is_doing_is_not_reclaimed() {
    on_each_database(async |data: Data| {
        let other = data.beside();
        let (store, beside) = (data.open().await, other.open().await);
        let id = store.jobs().enqueue(&job(1)).await.unwrap().id;
        let claimed = claim(beside.jobs()).await.unwrap();
        assert_eq!(claimed.job.id, id);
        assert_eq!(store.jobs().reclaim().await.unwrap(), 0);
        beside.jobs().complete(&claimed.lease).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn failures_wait_longer_each_time() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let jobs = store.jobs();
        let new = NewJob {
            max_attempts: 7,
            ..job(1)
        };
        let id = jobs.enqueue(&new).await.unwrap().id;
        for seconds in [5, 20, 80, 320, 600, 600] {
            let claimed = claim(jobs).await.unwrap();
            let state = jobs.fail(&claimed.lease, "no\0 luck", Retry::Later).await.unwrap();
            assert_eq!(state, JobState::Queued);
            data.after(seconds * 1_000 - 1);
            assert!(claim(jobs).await.is_none(), "before {seconds} s");
            data.after(1);
        }
        let claimed = claim(jobs).await.unwrap();
        let state = jobs.fail(&claimed.lease, "no\0 luck", Retry::Later).await.unwrap();
        assert_eq!(state, JobState::Failed);
        assert_eq!(jobs.get(id).await.unwrap().failure.as_deref(), Some("no\u{FFFD} luck"));

        let id = jobs.enqueue(&job(2)).await.unwrap().id;
        let claimed = claim(jobs).await.unwrap();
        let state = jobs.fail(&claimed.lease, "hopeless", Retry::Never).await.unwrap();
        assert_eq!(state, JobState::Failed);
        assert!(jobs.get(id).await.unwrap().ended.is_some());
    })
    .await;
}

#[tokio::test]
async fn cancelling_reaches_whoever_has_it() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let jobs = store.jobs();
        let waiting = jobs.enqueue(&job(1)).await.unwrap().id;
        assert_eq!(jobs.cancel(waiting).await.unwrap().state, JobState::Cancelled);
        assert_eq!(jobs.cancel(waiting).await.unwrap().state, JobState::Cancelled);

        let running = jobs.enqueue(&job(2)).await.unwrap().id;
        let claimed = claim(jobs).await.unwrap();
        assert_eq!(jobs.cancel(running).await.unwrap().state, JobState::Running);
        assert_eq!(
            jobs.heartbeat(&claimed.lease, 0.1, LEASE).await.unwrap(),
            Heartbeat::Cancel
        );
        jobs.cancelled(&claimed.lease).await.unwrap();
        assert_eq!(jobs.get(running).await.unwrap().state, JobState::Cancelled);

        // One that fails after that is not tried again, and one that dies neither.
        for dies in [false, true] {
            let id = jobs.enqueue(&job(3)).await.unwrap().id;
            let claimed = claim(jobs).await.unwrap();
            jobs.cancel(id).await.unwrap();
            if dies {
                data.after(31_000);
                assert!(claim(jobs).await.is_none());
            } else {
                let state = jobs.fail(&claimed.lease, "killed", Retry::Later).await.unwrap();
                assert_eq!(state, JobState::Cancelled);
            }
            assert_eq!(jobs.get(id).await.unwrap().state, JobState::Cancelled);
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_has_one_unfinished_job() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let keyed = NewJob {
            unique_key: Some("room demo\0".into()),
            ..job(1)
        };
        let made = join_all((0..10).map(|_| async { store.jobs().enqueue(&keyed).await.unwrap() })).await;
        let ids: BTreeSet<_> = made.iter().map(|job| job.id).collect();
        assert_eq!(ids.len(), 1);
        let claimed = claim(store.jobs()).await.unwrap();
        assert_eq!(store.jobs().enqueue(&keyed).await.unwrap().id, claimed.job.id);
        store.jobs().complete(&claimed.lease).await.unwrap();
        assert_ne!(store.jobs().enqueue(&keyed).await.unwrap().id, claimed.job.id);
        assert_eq!(store.jobs().unfinished("render").await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn some_jobs_are_done_where_the_files_are() {
    on_each_database(async |data: Data| {
        let other = data.beside();
        let (store, beside) = (data.open().await, other.open().await);
        let here = NewJob {
            node: Some(store.node()),
            ..job(1)
        };
        let id = store.jobs().enqueue(&here).await.unwrap().id;
        assert!(claim(beside.jobs()).await.is_none());
        assert_eq!(claim(store.jobs()).await.unwrap().job.id, id);
    })
    .await;
}

#[tokio::test]
async fn jobs_may_wait_and_are_forgotten() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let jobs = store.jobs();
        let later = NewJob {
            run_after: Some(store.inner.now().saturating_add(LEASE)),
            ..job(1)
        };
        let id = jobs.enqueue(&later).await.unwrap().id;
        assert!(claim(jobs).await.is_none());
        data.after(30_000);
        let claimed = claim(jobs).await.unwrap();
        jobs.complete(&claimed.lease).await.unwrap();
        assert_eq!(jobs.purge(store.inner.now()).await.unwrap(), 0);
        data.after(1);
        assert_eq!(jobs.purge(store.inner.now()).await.unwrap(), 1);
        assert!(matches!(jobs.get(id).await, Err(JobError::NotFound(_))));
    })
    .await;
}

#[tokio::test]
async fn jobs_are_listed_and_counted() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let jobs = store.jobs();
        let mut ids = Vec::new();
        for n in 0..3 {
            data.after(1);
            ids.push(jobs.enqueue(&job(n)).await.unwrap().id);
        }
        claim(jobs).await.unwrap();
        let counts = jobs.count_by_state().await.unwrap();
        assert_eq!((counts[&JobState::Queued], counts[&JobState::Running]), (2, 1));
        let (page, more) = jobs.list(Some(JobState::Queued), None, 1).await.unwrap();
        assert!(more && page[0].id == ids[2]);
        let (rest, more) = jobs.list(None, Some(ids[2]), 5).await.unwrap();
        assert!(!more);
        assert_eq!(rest.iter().map(|job| job.id).collect::<Vec<_>>(), [ids[1], ids[0]]);
    })
    .await;
}

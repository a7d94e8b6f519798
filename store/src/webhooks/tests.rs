//! The outbox, on each kind of database.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::*;
use crate::testing::{Data, on_each_database};

const LEASE: Duration = Duration::from_secs(30);

fn delivery(event: &str) -> NewDelivery {
    NewDelivery {
        url: "https://example.org/hook?x=\0".into(),
        event: event.into(),
        body: r#"{"text":"é"}"#.into(),
    }
}

#[tokio::test]
async fn what_is_due_is_claimed_once_until_its_lease_ends() {
    on_each_database(async |data: Data| {
        let other = data.beside();
        let (store, beside) = (data.open().await, other.open().await);
        let all: Vec<_> = (0..20).map(|n| delivery(&n.to_string())).collect();
        let ids: BTreeSet<_> = store.webhooks().enqueue(&all).await.unwrap().into_iter().collect();
        assert_eq!(ids.len(), 20);
        let askers = (0..10).map(|n| {
            let store = if n % 2 == 0 { &store } else { &beside };
            async move { store.webhooks().claim_due(3, LEASE).await.unwrap() }
        });
        let claimed: Vec<_> = join_all(askers).await.concat();
        assert_eq!(claimed.len(), 20);
        assert_eq!(claimed.iter().map(|claimed| claimed.id).collect::<BTreeSet<_>>(), ids);
        assert!(
            claimed
                .iter()
                .all(|claimed| claimed.attempts == 1 && claimed.body == all[0].body)
        );
        assert!(store.webhooks().claim_due(100, LEASE).await.unwrap().is_empty());
        store.webhooks().delivered(claimed[0].id).await.unwrap();
        data.after(30_000);
        let again = store.webhooks().claim_due(100, LEASE).await.unwrap();
        assert_eq!(again.len(), 19, "nothing was heard of the others");
        assert_eq!(again[0].attempts, 2);
    })
    .await;
}

#[tokio::test]
async fn a_receiver_that_is_down_is_tried_for_two_days() {
    on_each_database(async |data: Data| {
        let mut store = data.open().await;
        let id = store.webhooks().enqueue(&[delivery("a")]).await.unwrap()[0];
        let begin = store.inner.now();
        for (attempt, wait) in (1..).zip(RETRY_AFTER) {
            // The schedule survives restarts.
            store = data.reopen(store).await;
            let claimed = store.webhooks().claim_due(1, LEASE).await.unwrap();
            assert_eq!((claimed[0].id, claimed[0].attempts), (id, attempt));
            let state = store.webhooks().failed(id, "503\0").await.unwrap();
            assert_eq!(state, DeliveryState::Pending);
            data.clock.advance(wait.checked_sub(Duration::from_millis(1)).unwrap());
            assert!(store.webhooks().claim_due(1, LEASE).await.unwrap().is_empty());
            data.after(1);
        }
        let tried_for = store.inner.now().saturating_since(begin);
        let hours = tried_for.as_secs() / 3600;
        assert!((40..=50).contains(&hours), "{hours} h");
        store.webhooks().claim_due(1, LEASE).await.unwrap();
        assert_eq!(store.webhooks().failed(id, "503").await.unwrap(), DeliveryState::Failed);
        let failed = store.webhooks().list(DeliveryState::Failed, None, 10).await.unwrap();
        assert_eq!(
            (failed.len(), failed[0].attempts, failed[0].last_error.as_deref()),
            (1, 10, Some("503"))
        );
        assert!(
            store
                .webhooks()
                .list(DeliveryState::Failed, Some(id), 10)
                .await
                .unwrap()
                .is_empty()
        );

        store.webhooks().retry(id).await.unwrap();
        assert!(store.webhooks().retry(id).await.is_err(), "it is under way");
        assert_eq!(store.webhooks().claim_due(1, LEASE).await.unwrap()[0].attempts, 1);
        store.webhooks().delivered(id).await.unwrap();
        // A late answer of an earlier attempt changes nothing.
        store.webhooks().failed(id, "timeout").await.unwrap();
        assert_eq!(store.webhooks().get(id).await.unwrap().state, DeliveryState::Delivered);
        data.after(1);
        assert_eq!(store.webhooks().purge(store.inner.now()).await.unwrap(), 1);
        assert_eq!(store.webhooks().get(id).await.unwrap_err().kind(), ErrorKind::NotFound);
    })
    .await;
}

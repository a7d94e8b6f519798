//! Notifications, on each kind of database.

use serde_json::json;

use super::*;
use crate::{
    Store,
    accounts::{NewUser, UserChange, UserRole},
    testing::{Data, on_each_database},
};

async fn user(store: &Store, name: &str) -> UserId {
    let new = NewUser {
        email: format!("{name}@example.org"),
        name: name.into(),
        role: UserRole::Admin,
        language: None,
        password: "correct horse".into(),
    };
    store.joining().create(&new).await.unwrap().id
}

#[tokio::test]
async fn each_is_told_and_reads_for_themselves() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let (ana, bea) = (user(&store, "ana").await, user(&store, "bea").await);
        let notices = store.notices();
        let told = notices
            .tell(&[ana, bea], "room.invited", &json!({"room": "demo"}))
            .await
            .unwrap();
        assert_eq!(told.len(), 2);
        data.after(1);
        notices.tell(&[ana], "waiting", &json!({})).await.unwrap();
        let (list, more) = notices.list(ana, None, 1).await.unwrap();
        assert!(more && list[0].kind == "waiting");
        let (rest, _) = notices.list(ana, Some(list[0].id), 10).await.unwrap();
        assert_eq!(rest, [told[0].clone()]);
        // Nobody reads for somebody else.
        assert_eq!(notices.mark_read(bea, Some(&[told[0].id])).await.unwrap(), 0);
        assert_eq!(notices.mark_read(ana, Some(&[told[0].id])).await.unwrap(), 1);
        assert_eq!(notices.unread(ana).await.unwrap(), 1);
        assert_eq!(notices.mark_read(ana, None).await.unwrap(), 1);
        assert_eq!(
            (notices.unread(ana).await.unwrap(), notices.unread(bea).await.unwrap()),
            (0, 1)
        );
        assert_eq!(notices.purge(store.inner.now()).await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_browser_is_one_persons_at_a_time() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let (ana, bea) = (user(&store, "ana").await, user(&store, "bea").await);
        let notices = store.notices();
        let of = |user, number: u32| PushSubscription {
            endpoint: format!("https://push.example.org/{number}"),
            user,
            p256dh: "key".into(),
            auth: "secret".into(),
        };
        notices.subscribe(&of(ana, 0)).await.unwrap();
        notices.subscribe(&of(bea, 0)).await.unwrap();
        assert_eq!(notices.subscriptions(ana).await.unwrap(), []);
        assert_eq!(notices.subscriptions(bea).await.unwrap(), [of(bea, 0)]);
        notices.unsubscribe(Some(ana), &of(bea, 0).endpoint).await.unwrap();
        assert_eq!(notices.subscriptions(bea).await.unwrap().len(), 1);
        for number in 1..=25 {
            data.after(1);
            notices.subscribe(&of(bea, number)).await.unwrap();
        }
        let kept = notices.subscriptions(bea).await.unwrap();
        assert_eq!(kept.len(), 20);
        assert!(!kept.contains(&of(bea, 5)) && kept.contains(&of(bea, 25)));
        notices.unsubscribe(None, &of(bea, 25).endpoint).await.unwrap();
        assert_eq!(notices.subscriptions(bea).await.unwrap().len(), 19);
    })
    .await;
}

#[tokio::test]
async fn a_calendar_has_one_key() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let (ana, _) = (user(&store, "ana").await, user(&store, "bea").await);
        let old = store.notices().calendar_key(ana).await.unwrap();
        let key = store.notices().calendar_key(ana).await.unwrap();
        assert_eq!(store.notices().calendar_user(&old).await.unwrap(), None);
        assert_eq!(store.notices().calendar_user(&key).await.unwrap().unwrap().id, ana);
        let disable = UserChange {
            disabled: Some(true),
            ..UserChange::default()
        };
        store.users().update(ana, &disable, None).await.unwrap();
        assert_eq!(store.notices().calendar_user(&key).await.unwrap(), None);
    })
    .await;
}

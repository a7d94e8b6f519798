//! The audit log and idempotency keys, on each kind of database.

use sea_orm::ConnectionTrait as _;
use serde_json::json;

use super::*;
use crate::testing::{Data, on_each_database};

fn new(actor: &str, action: &str) -> NewAudit {
    NewAudit {
        actor: actor.into(),
        action: action.into(),
        target: Some("room:demo".into()),
        address: Some("127.0.0.1".into()),
        outcome: "ok".into(),
        data: json!({"title": "x"}),
    }
}

#[tokio::test]
async fn a_line_that_was_written_stays() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        for action in ["room.create", "room.end", "user.create"] {
            data.after(1);
            store.ledger().record(&new("usr_a", action)).await.unwrap();
        }
        store.ledger().record(&new("key:ci", "room.create")).await.unwrap();
        for refused in ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"] {
            let error = store
                .inner
                .database
                .write()
                .execute_unprepared(refused)
                .await
                .unwrap_err();
            assert!(error.to_string().contains("append-only"), "{error}");
        }
        let find = async |filter: AuditFilter| store.ledger().list(&filter, None, 10).await.unwrap().0;
        let all = find(AuditFilter::default()).await;
        assert_eq!(all.len(), 4);
        let of_room = AuditFilter {
            actor: Some("usr_a".into()),
            action: Some("room.".into()),
            ..AuditFilter::default()
        };
        let actions: Vec<_> = find(of_room).await.into_iter().map(|line| line.action).collect();
        assert_eq!(actions, ["room.end", "room.create"]);
        let with_ci = AuditFilter {
            text: Some("ci".into()),
            ..AuditFilter::default()
        };
        assert_eq!(find(with_ci).await.len(), 1);
        let (page, more) = store
            .ledger()
            .list(&AuditFilter::default(), Some(all[1].id), 1)
            .await
            .unwrap();
        assert!(more && page[0] == all[2]);
    })
    .await;
}

#[tokio::test]
async fn a_request_is_done_once() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let ledger = store.ledger();
        assert_eq!(ledger.begin("ana", "k", "POST /rooms {}").await.unwrap(), Repeated::New);
        assert_eq!(
            ledger.begin("ana", "k", "POST /rooms {}").await.unwrap(),
            Repeated::UnderWay
        );
        assert_eq!(ledger.begin("bea", "k", "POST /rooms {}").await.unwrap(), Repeated::New);
        ledger.answered("ana", "k", 201, "{\"name\":\"x\"}").await.unwrap();
        let answered = Repeated::Answered {
            status: 201,
            body: "{\"name\":\"x\"}".into(),
        };
        assert_eq!(ledger.begin("ana", "k", "POST /rooms {}").await.unwrap(), answered);
        let kept = idempotency_keys::Entity::find_by_id(("ana".to_owned(), "k".to_owned()))
            .one(store.inner.database.read())
            .await
            .unwrap()
            .unwrap();
        assert!(!kept.body.unwrap().contains("name"), "answers may hold keys and tokens");
        assert_eq!(
            ledger.begin("ana", "k", "POST /rooms {1}").await.unwrap(),
            Repeated::Another
        );
        ledger.forget("bea", "k").await.unwrap();
        assert_eq!(ledger.begin("bea", "k", "other").await.unwrap(), Repeated::New);
        // The process died while it did it.
        data.after(121_000);
        assert_eq!(ledger.begin("bea", "k", "other").await.unwrap(), Repeated::New);
        assert_eq!(ledger.begin("ana", "k", "POST /rooms {}").await.unwrap(), answered);
        data.after(1);
        assert_eq!(ledger.purge_keys(store.inner.now()).await.unwrap(), 2);
    })
    .await;
}

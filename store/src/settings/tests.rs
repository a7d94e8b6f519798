//! Settings and secrets, on each kind of database.

use std::{fs, os::unix::fs::PermissionsExt as _};

use sea_orm::ConnectionTrait as _;
use serde_json::json;

use super::*;
use crate::testing::{Data, on_each_database};

#[tokio::test]
async fn what_was_chosen_is_kept_until_it_is_forgotten() {
    on_each_database(async |data: Data| {
        let mut store = data.open().await;
        let first = [("a".to_owned(), json!(true)), ("b".to_owned(), json!("x"))].into();
        store.settings().set(&first).await.unwrap();
        let second = [("a".to_owned(), json!(null)), ("b".to_owned(), json!(7))].into();
        store.settings().set(&second).await.unwrap();
        store = data.reopen(store).await;
        assert_eq!(
            store.settings().all().await.unwrap(),
            [("b".to_owned(), json!(7))].into()
        );
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_made_once_and_never_lies_open() {
    on_each_database(async |data: Data| {
        let mut store = data.open().await;
        let made = store
            .settings()
            .secret("jwt", || b"plain secret".to_vec())
            .await
            .unwrap();
        store = data.reopen(store).await;
        let kept = store.settings().secret("jwt", || b"another".to_vec()).await.unwrap();
        assert_eq!((kept.as_slice(), &kept), (b"plain secret".as_slice(), &made));
        let key_file = store.data().root().join("secrets.key");
        assert_eq!(fs::metadata(&key_file).unwrap().permissions().mode() & 0o777, 0o600);
        let model = secrets::Entity::find_by_id("jwt")
            .one(store.inner.database.read())
            .await
            .unwrap()
            .unwrap();
        assert!(!model.sealed.contains("plain"));
        // A secret cannot be moved to another's place.
        let moved = "INSERT INTO secrets SELECT 'vapid', sealed, updated_ns FROM secrets WHERE name = 'jwt'";
        store.inner.database.write().execute_unprepared(moved).await.unwrap();
        let error = store.settings().secret("vapid", Vec::new).await.unwrap_err();
        assert!(matches!(error, SettingError::CannotOpen(_)), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn the_key_may_come_from_the_configuration() {
    let mut data = Data::new();
    data.config.secrets_key = Some("0123456789abcdef0123456789abcdef".into());
    let store = data.open().await;
    store.settings().secret("jwt", || b"x".to_vec()).await.unwrap();
    drop(store);
    data.config.secrets_key = Some("another key, which is long enough".into());
    let store = data.open().await;
    let error = store.settings().secret("jwt", Vec::new).await.unwrap_err();
    assert!(matches!(error, SettingError::CannotOpen(_)), "{error:?}");
    data.config.secrets_key = Some("short".into());
    assert!(data.config.secrets_key().is_err());
}

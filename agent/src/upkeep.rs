//! What has to be done now and then: uploads, retention, forgetting what is long over.

use std::time::Duration;

use greffier_media::time::{Arrival, Clock};
use greffier_store::{ErrorKind, Store};
use tokio_util::sync::CancellationToken;

use crate::clock::SystemClock;

/// How often the rows are asked for something to upload.
const UPLOAD_EVERY: Duration = Duration::from_secs(5);
/// After the object store refused or could not be reached.
const UPLOAD_RETRY: Duration = Duration::from_secs(30);
const SWEEP_EVERY: Duration = Duration::from_mins(10);
/// Jobs and deliveries are kept for questions for so long after their end.
const FORGET_AFTER: Duration = Duration::from_hours(30 * 24);
/// Whoever does not know whether a request was done has asked again long before.
const FORGET_ANSWERS_AFTER: Duration = Duration::from_hours(24);
/// Whoever asked to come in so long ago and not since has gone.
const FORGET_WAITING_AFTER: Duration = Duration::from_hours(24);
const FORGET_NOTIFICATIONS_AFTER: Duration = Duration::from_hours(90 * 24);

/// Carries finished files to the object store, while meetings go on, until cancelled.
pub async fn upload(store: Store, token: CancellationToken) {
    if !store.objects().is_configured() {
        return;
    }
    let objects = store.objects();
    let mut wait = Duration::ZERO;
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = UPLOAD_EVERY;
        let pending = match objects.pending(16).await {
            Ok(pending) => pending,
            Err(error) => {
                tracing::error!(%error, "what is to be uploaded cannot be told");
                continue;
            }
        };
        for file in pending {
            tokio::select! {
                () = token.cancelled() => return,
                uploaded = objects.upload(&file) => match uploaded {
                    Ok(()) => {
                        tracing::info!(recording = %file.recording, name = file.name, bytes = file.bytes, "uploaded");
                        wait = Duration::ZERO;
                    }
                    Err(error) => {
                        tracing::warn!(recording = %file.recording, name = file.name, %error, "not uploaded; trying again");
                        wait = UPLOAD_RETRY;
                    }
                }
            }
        }
    }
}

/// Deletes what is older than the rules keep it, and forgets what is long over, until cancelled.
pub async fn sweep(store: Store, clock: SystemClock, token: CancellationToken) {
    let mut look = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            _ = look.tick() => sweep_once(&store, clock.now()).await,
        }
    }
}

async fn sweep_once(store: &Store, now: Arrival) {
    match store.recordings().sweep_retention().await {
        Ok(gone) => {
            for id in gone {
                tracing::info!(recording = %id, "deleted: older than its rule keeps it");
            }
        }
        Err(error) => tracing::error!(%error, "retention could not be kept"),
    }
    match store.objects().remove_local_copies().await {
        Ok(gone) if !gone.is_empty() => tracing::info!(files = gone.len(), "local copies of uploaded files removed"),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::Unavailable => {}
        Err(error) => tracing::error!(%error, "local copies could not be removed"),
    }
    let before = now.saturating_sub(FORGET_AFTER);
    if let Err(error) = store.jobs().purge(before).await {
        tracing::error!(%error, "old jobs could not be forgotten");
    }
    if let Err(error) = store.webhooks().purge(before).await {
        tracing::error!(%error, "old deliveries could not be forgotten");
    }
    forget(store, now).await;
}

/// Forgets what people and machines left behind, and nobody needs any more.
async fn forget(store: &Store, now: Arrival) {
    let before = now.saturating_sub(FORGET_AFTER);
    if let Err(error) = store.sessions().purge(before).await {
        tracing::error!(%error, "log-ins that ended could not be forgotten");
    }
    if let Err(error) = store.guests().purge(before).await {
        tracing::error!(%error, "guests could not be forgotten");
    }
    let before = now.saturating_sub(FORGET_ANSWERS_AFTER);
    if let Err(error) = store.ledger().purge_keys(before).await {
        tracing::error!(%error, "old answers could not be forgotten");
    }
    let before = now.saturating_sub(FORGET_WAITING_AFTER);
    if let Err(error) = store.waiting_room().purge(before).await {
        tracing::error!(%error, "who waited could not be forgotten");
    }
    let before = now.saturating_sub(FORGET_NOTIFICATIONS_AFTER);
    if let Err(error) = store.notices().purge(before).await {
        tracing::error!(%error, "old notifications could not be forgotten");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use greffier_media::ids::RoomName;
    use greffier_store::{
        StoreConfig,
        accounts::{NewUser, UserRole},
        ledger::Repeated,
        meetings::{CallType, NewRoom, NewRoomInvitation, RoomOptions},
    };
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn what_nobody_needs_any_more_is_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        let clock = SystemClock::start();
        let store = Store::open(&StoreConfig::new(dir.path().join("data")), Arc::new(clock)).await;
        let store = store.expect("a store");
        let user = NewUser {
            email: "ana@example.org".into(),
            name: "Ana".into(),
            role: UserRole::Member,
            language: None,
            password: "correct horse".to_owned().into(),
        };
        let user = store.joining().create(&user).await.expect("a user").id;
        let room = NewRoom {
            name: RoomName::new("demo").expect("a name"),
            title: "Demo".into(),
            call_type: CallType::Video,
            owner: Some(user),
            members: Vec::new(),
            options: RoomOptions::default(),
            locked: false,
            scheduled: None,
            duration_minutes: None,
        };
        let room = store.rooms().create(&room).await.expect("a room").id;
        let link = NewRoomInvitation {
            guest: true,
            lifetime: None,
            max_uses: None,
            by: None,
        };
        let (link, _) = store.room_invitations().create("demo", &link).await.expect("a link");
        let (session, _) = store.sessions().start(user, "", "192.0.2.1").await.expect("a log-in");
        let (_, guest) = store.guests().come(room, link.id, "Bob", None).await.expect("a guest");
        let (waiting, secret, _) = store.waiting_room().ask(room, "x", "Bob", None).await.expect("waits");
        store
            .notices()
            .tell(&[user], "invited", &json!({}))
            .await
            .expect("told");
        store.ledger().begin("ana", "k", "asked").await.expect("begun");
        store.ledger().answered("ana", "k", 201, "{}").await.expect("answered");

        sweep_once(&store, clock.now()).await;
        assert!(store.waiting_room().poll(waiting.id, &secret).await.is_ok());
        assert!(store.sessions().alive(session.id).await.expect("asked").is_some());
        assert!(store.guests().known(room, &guest).await.expect("asked").is_some());
        let again = store.ledger().begin("ana", "k", "asked").await.expect("asked");
        assert!(matches!(again, Repeated::Answered { .. }));
        assert_eq!(store.notices().unread(user).await.expect("asked"), 1);

        sweep_once(&store, clock.now().saturating_add(Duration::from_hours(24 * 100))).await;
        assert!(store.waiting_room().poll(waiting.id, &secret).await.is_err());
        assert!(store.sessions().alive(session.id).await.expect("asked").is_none());
        assert!(store.guests().known(room, &guest).await.expect("asked").is_none());
        let again = store.ledger().begin("ana", "k", "asked").await.expect("asked");
        assert_eq!(again, Repeated::New);
        assert_eq!(store.notices().unread(user).await.expect("asked"), 0);
    }
}

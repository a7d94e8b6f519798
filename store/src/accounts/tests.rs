//! Accounts, on each kind of database.

use std::time::Duration;

use secrecy::SecretString;

use super::*;
use crate::{
    ErrorKind, Store,
    testing::{Data, on_each_database},
};

const PASSWORD: &str = "correct horse";

fn new(email: &str) -> NewUser {
    NewUser {
        email: email.into(),
        name: "Ana".into(),
        role: UserRole::Member,
        language: Some("fr".into()),
        password: PASSWORD.into(),
    }
}

async fn admin(store: &Store) -> User {
    let token = store.joining().setup_token().await.unwrap().unwrap();
    store.joining().set_up(&token, &new("admin@example.org")).await.unwrap()
}

fn password(text: &str) -> SecretString {
    text.into()
}

#[tokio::test]
async fn the_first_administrator_is_made_once() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        assert!(!store.joining().is_set_up().await.unwrap());
        let stale = store.joining().setup_token().await.unwrap().unwrap();
        let token = store.joining().setup_token().await.unwrap().unwrap();
        for wrong in [stale.as_str(), "", "x"] {
            let error = store.joining().set_up(wrong, &new("a@example.org")).await.unwrap_err();
            assert!(matches!(error, AccountError::SetupToken), "{error:?}");
        }
        let first = store
            .joining()
            .set_up(&token, &new("Admin@Example.org "))
            .await
            .unwrap();
        assert_eq!(
            (first.role, first.email.as_deref()),
            (UserRole::Admin, Some("admin@example.org"))
        );
        let again = store.joining().set_up(&token, &new("b@example.org")).await.unwrap_err();
        assert!(matches!(again, AccountError::SetupToken), "{again:?}");
        assert_eq!(store.joining().setup_token().await.unwrap(), None);
        assert!(store.joining().is_set_up().await.unwrap());
        assert_eq!(store.users().count().await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn of_two_who_set_up_at_once_one_does() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let token = store.joining().setup_token().await.unwrap().unwrap();
        let (joining, one, other) = (store.joining(), new("a@example.org"), new("b@example.org"));
        let (one, other) = tokio::join!(joining.set_up(&token, &one), joining.set_up(&token, &other));
        assert_ne!(one.is_ok(), other.is_ok());
        assert_eq!(store.users().count().await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn address_and_password_belong_together() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let user = admin(&store).await;
        let users = store.users();
        let found = users.sign_in(" ADMIN@example.ORG", &password(PASSWORD)).await.unwrap();
        assert_eq!(found.id, user.id);
        for (email, wrong) in [
            ("admin@example.org", "wrong horse!"),
            ("nobody@example.org", PASSWORD),
            ("", ""),
        ] {
            let error = users.sign_in(email, &password(wrong)).await.unwrap_err();
            assert!(matches!(error, AccountError::WrongPassword), "{error:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn invitations_are_accepted_once_and_in_time() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let by = admin(&store).await.id;
        let invitation = NewUserInvitation {
            email: Some("Bea@example.org".into()),
            name: None,
            role: UserRole::Member,
            lifetime: Duration::from_hours(1),
            by,
        };
        let joining = store.joining();
        let (made, token) = joining.invite(&invitation).await.unwrap();
        assert_eq!(joining.invitation(&token).await.unwrap(), made);
        assert_eq!(joining.open_invitations().await.unwrap(), std::slice::from_ref(&made));
        let refused = joining.accept(&token, &new("admin@example.org")).await.unwrap_err();
        assert!(matches!(refused, AccountError::EmailTaken), "{refused:?}");
        let asks_for_more = NewUser {
            role: UserRole::Admin,
            ..new("bea@example.org")
        };
        let bea = joining.accept(&token, &asks_for_more).await.unwrap();
        assert_eq!(bea.role, UserRole::Member);
        let again = joining.accept(&token, &new("c@example.org")).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::NotFound);

        let (_, late) = joining.invite(&invitation).await.unwrap();
        let (withdrawn, gone) = joining.invite(&invitation).await.unwrap();
        joining.withdraw(withdrawn.id).await.unwrap();
        assert_eq!(joining.invitation(&gone).await.unwrap_err().kind(), ErrorKind::NotFound);
        data.after(60 * 60 * 1000);
        assert_eq!(joining.invitation(&late).await.unwrap_err().kind(), ErrorKind::NotFound);
        let error = joining.accept(&late, &new("d@example.org")).await.unwrap_err();
        assert!(matches!(error, AccountError::Invitation), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn refresh_tokens_rotate_and_theft_ends_the_session() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let user = admin(&store).await;
        let sessions = store.sessions();
        let (session, first) = sessions.start(user.id, "Firefox", "127.0.0.1").await.unwrap();
        let second = sessions.rotate(&first).await.unwrap();
        assert_eq!((second.session.id, second.user.id), (session.id, user.id));
        assert_ne!(second.refresh_token, first);
        // Two pages at once, or an answer that was lost.
        data.after(9_000);
        let twin = sessions.rotate(&first).await.unwrap();
        let third = sessions.rotate(&second.refresh_token).await.unwrap();
        assert_eq!(sessions.alive(session.id).await.unwrap().unwrap().id, user.id);
        data.after(2_000);
        let stolen = sessions.rotate(&first).await.unwrap_err();
        assert!(matches!(stolen, AccountError::TokenReused), "{stolen:?}");
        for token in [&third.refresh_token, &twin.refresh_token] {
            let ended = sessions.rotate(token).await.unwrap_err();
            assert!(matches!(ended, AccountError::SessionEnded), "{ended:?}");
        }
        assert_eq!(sessions.alive(session.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn sessions_survive_restarts_and_end_when_told() {
    on_each_database(async |data: Data| {
        let mut store = data.open().await;
        let user = admin(&store).await;
        let (one, token) = store.sessions().start(user.id, "a", "::1").await.unwrap();
        let (other, _) = store.sessions().start(user.id, "b", "::1").await.unwrap();
        store = data.reopen(store).await;
        let rotated = store.sessions().rotate(&token).await.unwrap();
        assert_eq!(store.sessions().list(user.id).await.unwrap().len(), 2);
        let ended = store.sessions().end_by_token(&rotated.refresh_token).await.unwrap();
        assert_eq!(ended, Some(user.id));
        assert_eq!(store.sessions().alive(one.id).await.unwrap(), None);
        assert!(store.sessions().alive(other.id).await.unwrap().is_some());
        assert_eq!(store.sessions().end_all(user.id).await.unwrap(), 1);
        assert_eq!(store.sessions().alive(other.id).await.unwrap(), None);

        let (old, _) = store.sessions().start(user.id, "c", "::1").await.unwrap();
        data.after(31 * 24 * 60 * 60 * 1000);
        assert_eq!(store.sessions().alive(old.id).await.unwrap(), None);
        assert_eq!(store.sessions().purge(store.inner.now()).await.unwrap(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let user = admin(&store).await;
        let (mine, _) = store.sessions().start(user.id, "a", "::1").await.unwrap();
        let (other, _) = store.sessions().start(user.id, "b", "::1").await.unwrap();
        let change = UserChange {
            password: Some("another horse".into()),
            name: Some("Zoé".into()),
            ..UserChange::default()
        };
        store.users().update(user.id, &change, Some(mine.id)).await.unwrap();
        assert!(store.sessions().alive(mine.id).await.unwrap().is_some());
        assert_eq!(store.sessions().alive(other.id).await.unwrap(), None);
        let old = store
            .users()
            .sign_in("admin@example.org", &password(PASSWORD))
            .await
            .unwrap_err();
        assert!(matches!(old, AccountError::WrongPassword), "{old:?}");
        assert!(
            store
                .users()
                .is_password(user.id, &password("another horse"))
                .await
                .unwrap()
        );
        let found = UserFilter {
            text: Some("ZO".into()),
            enabled: true,
        };
        assert_eq!(store.users().list(&found, None, 10).await.unwrap().0[0].name, "Zoé");
    })
    .await;
}

#[tokio::test]
async fn the_last_administrator_stays() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let first = admin(&store).await;
        let users = store.users();
        let demote = UserChange {
            role: Some(UserRole::Member),
            ..UserChange::default()
        };
        let disable = UserChange {
            disabled: Some(true),
            ..UserChange::default()
        };
        for change in [&demote, &disable] {
            let error = users.update(first.id, change, None).await.unwrap_err();
            assert!(matches!(error, AccountError::LastAdministrator), "{error:?}");
        }
        let error = users.delete(first.id).await.unwrap_err();
        assert!(matches!(error, AccountError::LastAdministrator), "{error:?}");
        let second = NewUser {
            role: UserRole::Admin,
            ..new("second@example.org")
        };
        let second = store.joining().create(&second).await.unwrap();
        let (session, _) = store.sessions().start(first.id, "a", "::1").await.unwrap();
        users.update(first.id, &disable, None).await.unwrap();
        assert_eq!(store.sessions().alive(session.id).await.unwrap(), None);
        let error = users
            .sign_in("admin@example.org", &password(PASSWORD))
            .await
            .unwrap_err();
        assert!(matches!(error, AccountError::Disabled), "{error:?}");
        let error = users.delete(second.id).await.unwrap_err();
        assert!(matches!(error, AccountError::LastAdministrator), "{error:?}");
        users.delete(first.id).await.unwrap();
        assert_eq!(users.get(first.id).await.unwrap_err().kind(), ErrorKind::NotFound);
        // The address is free again.
        store.joining().create(&new("admin@example.org")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn people_of_another_application_appear_when_they_come() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        admin(&store).await;
        let users = store.users();
        let foreign = Foreign {
            issuer: "https://app".into(),
            subject: "42".into(),
        };
        let made = users
            .foreign(&foreign, Some("ana@app"), "Ana", UserRole::Member, false)
            .await
            .unwrap();
        let again = users
            .foreign(&foreign, Some("ana@app"), "Ana", UserRole::Member, false)
            .await
            .unwrap();
        assert_eq!(again, made);
        let renamed = users
            .foreign(&foreign, None, "Ana B", UserRole::Member, false)
            .await
            .unwrap();
        assert_eq!((renamed.id, renamed.name.as_str()), (made.id, "Ana B"));
        // Whoever names somebody's address does not become them …
        let other = Foreign {
            issuer: "https://app".into(),
            subject: "43".into(),
        };
        let email = Some("admin@example.org");
        let apart = users
            .foreign(&other, email, "Eve", UserRole::Member, false)
            .await
            .unwrap();
        assert_eq!((apart.email, apart.role), (None, UserRole::Member));
        // … unless the application is trusted with addresses.
        let trusted = Foreign {
            issuer: "https://app".into(),
            subject: "44".into(),
        };
        let joined = users
            .foreign(&trusted, email, "Admin", UserRole::Member, true)
            .await
            .unwrap();
        assert_eq!((joined.role, joined.has_password), (UserRole::Admin, true));
    })
    .await;
}

#[tokio::test]
async fn keys_are_found_whole_or_not_at_all() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let user = admin(&store).await.id;
        let keys = store.api_keys();
        let expires = Some(store.inner.now().saturating_add(Duration::from_mins(5)));
        let new = NewApiKey {
            name: "ci".into(),
            scopes: vec!["rooms:read".into()],
            user: Some(user),
            expires,
        };
        let (key, shown) = keys.create(&new).await.unwrap();
        assert!(shown.starts_with("gk_01"), "{shown}");
        let found = keys.find(&shown).await.unwrap().unwrap();
        assert_eq!((found.id, &found.scopes), (key.id, &key.scopes));
        for wrong in [
            "",
            "gk_",
            "gk__",
            &shown[..shown.len() - 1],
            &shown.replace("gk_", "key_"),
            &format!("{shown}x"),
        ] {
            assert_eq!(keys.find(wrong).await.unwrap(), None, "{wrong}");
        }
        assert!(keys.get(key.id).await.unwrap().used.is_some());
        data.after(5 * 60 * 1000);
        assert_eq!(keys.find(&shown).await.unwrap(), None, "expired");
        let (key, shown) = keys.create(&NewApiKey { expires: None, ..new }).await.unwrap();
        assert_eq!(keys.list(Some(user)).await.unwrap().len(), 2);
        keys.revoke(key.id).await.unwrap();
        assert_eq!(keys.find(&shown).await.unwrap(), None, "revoked");
        assert_eq!(keys.revoke(key.id).await.unwrap_err().kind(), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_name_or_address_is_refused() {
    let data = Data::new();
    let store = data.open().await;
    let long = format!("{}@example.org", "a".repeat(255));
    for bad in [
        "", "a", "@", "a@", "@b", "a@b@c", "a b@c.d", "a@b..c", "a\n@b.c", "<a@b.c>", &long,
    ] {
        let error = store.joining().create(&new(bad)).await.unwrap_err();
        assert!(
            matches!(error, AccountError::Invalid { field: "email", .. }),
            "{bad}: {error:?}"
        );
    }
    for bad in ["", " ", "a\0b", "a\nb", &"x".repeat(201)] {
        let named = NewUser {
            name: bad.into(),
            ..new("a@b.c")
        };
        let error = store.joining().create(&named).await.unwrap_err();
        assert!(
            matches!(error, AccountError::Invalid { field: "name", .. }),
            "{bad}: {error:?}"
        );
    }
}

#[tokio::test]
async fn people_are_listed_by_name_a_page_at_a_time() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        for (number, name) in ["Bea", "Ana", "Ana", "Cy"].into_iter().enumerate() {
            let new = NewUser {
                name: name.into(),
                ..new(&format!("u{number}@example.org"))
            };
            store.joining().create(&new).await.unwrap();
        }
        let (mut after, mut names): (Option<User>, Vec<String>) = (None, Vec::new());
        loop {
            let last = after.as_ref().map(|user| (user.name.as_str(), user.id));
            let (page, more) = store.users().list(&UserFilter::default(), last, 1).await.unwrap();
            names.extend(page.iter().map(|user| user.name.clone()));
            after = page.into_iter().next_back();
            if !more {
                break;
            }
        }
        assert_eq!(names, ["Ana", "Ana", "Bea", "Cy"]);
    })
    .await;
}

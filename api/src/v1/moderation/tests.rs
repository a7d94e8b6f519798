//! Moderation, the whole way through the router.

use std::time::Duration;

use axum::http::Method;
use greffier_media::time::Clock as _;
use serde_json::{Value, json};

use crate::{
    meetings::watch,
    services::App,
    testing::{ADMIN, Api, FakeLiveKit},
    v1::{
        accounts::tests::{Person, admin, member},
        rooms::tests::{comes, room},
        webhooks::tests::webhook,
    },
};

const ROOMS: &str = "/api/livekit/rooms";

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_said_so() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let bea = member(&api, &ada, "bea").await;
    room(&api, &bea, "demo", &[], json!({})).await;
    for verb in [
        "participants/x/mute",
        "participants/x/remove",
        "participants/x/promote",
        "participants/x/demote",
        "participants/x/lower-hand",
        "lower-hands",
    ] {
        let answer = api
            .post(&format!("/api/livekit/rooms/demo/{verb}"), &bea.token, &json!({}))
            .await;
        assert_eq!(answer.problem(), (503, "livekit_unreachable".into()), "{verb}");
    }
    for (verb, locked) in [("lock", true), ("unlock", false)] {
        assert_eq!(
            api.post(&format!("/api/livekit/rooms/demo/{verb}"), &bea.token, &json!({}))
                .await
                .status,
            204
        );
        let shown = api.get("/api/livekit/rooms/demo", &bea.token).await.json();
        assert_eq!(shown["options"]["locked"], locked);
    }
}

/// A room with a call that goes on, of which `bea` is the owner and a guest is a part; answers the guest's answer to joining,
/// and the invitation.
async fn with_a_guest(api: &Api, livekit: &FakeLiveKit, bea: &Person) -> (Value, String) {
    room(api, bea, "demo", &[], json!({})).await;
    let invited = api
        .post(
            &format!("{ROOMS}/demo/invitations"),
            &bea.token,
            &json!({"guest": true}),
        )
        .await
        .json();
    let invitation = invited["token"].as_str().unwrap().to_owned();
    let bob = api
        .post(
            &format!("{ROOMS}/demo/join"),
            "",
            &json!({"invitation": invitation, "name": "Bob"}),
        )
        .await
        .json();
    for identity in [bea.id.as_str(), bob["identity"].as_str().unwrap()] {
        livekit.comes("demo", identity);
        comes(api, "demo", identity).await;
    }
    (bob, invitation)
}

#[tokio::test]
async fn whoever_is_put_out_stays_out_by_whatever_way_they_come() {
    let (livekit, address) = FakeLiveKit::start().await;
    let api = Api::beside(address, |_| {}).await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    let (bob, invitation) = with_a_guest(&api, &livekit, &bea).await;
    let (identity, token) = (bob["identity"].as_str().unwrap(), bob["token"].as_str().unwrap());
    assert_eq!(api.get(&format!("{ROOMS}/demo"), token).await.status, 200);

    let out = format!("{ROOMS}/demo/participants/{identity}/remove");
    assert_eq!(api.post(&out, token, &json!({})).await.problem().0, 403);
    assert_eq!(api.post(&out, &bea.token, &json!({})).await.status, 204);
    assert!(!livekit.is_in("demo", identity));

    // What they came in with shows them nothing any more.
    for path in ["demo", "demo/chat"] {
        assert_eq!(
            api.get(&format!("{ROOMS}/{path}"), token).await.problem().0,
            403,
            "{path}"
        );
    }
    assert_eq!(api.get(ROOMS, token).await.problem().0, 403);
    let join = async |body: Value| api.post(&format!("{ROOMS}/demo/join"), "", &body).await;
    let again = json!({"invitation": invitation, "name": "Bob", "guest": bob["guest"]});
    assert_eq!(join(again.clone()).await.problem(), (403, "removed_from_call".into()));
    // Under another name it may be the same person: somebody inside decides.
    let masked = join(json!({"invitation": invitation, "name": "Rob"})).await;
    assert_eq!(masked.status, 202, "{}", masked.text());
    // A key that gives tokens to others gives none to them.
    let minted = json!({"room": "demo", "identity": identity});
    let minted = api.post("/api/livekit/token", ADMIN, &minted).await;
    assert_eq!(minted.problem(), (403, "removed_from_call".into()));

    let kept_out = api.get(&format!("{ROOMS}/demo/removed"), &bea.token).await.json();
    assert_eq!(
        (
            kept_out["items"][0]["identity"].as_str(),
            kept_out["items"][0]["removed_by"].as_str()
        ),
        (Some(identity), Some(bea.id.as_str()))
    );
    assert_eq!(
        api.get(&format!("{ROOMS}/demo/removed"), &cy.token).await.problem().0,
        403
    );
    let back = format!("{ROOMS}/demo/removed/{identity}");
    assert_eq!(
        api.call(Method::DELETE, &back, &bea.token, &json!({})).await.status,
        204
    );
    assert_eq!(
        api.call(Method::DELETE, &back, &bea.token, &json!({})).await.problem(),
        (404, "not_removed".into())
    );
    let admitted = join(again).await;
    assert_eq!(admitted.json()["identity"], identity, "{}", admitted.text());

    let nobody = format!("{ROOMS}/demo/participants/nobody/remove");
    assert_eq!(api.post(&nobody, &bea.token, &json!({})).await.problem().0, 404);
    let events = {
        let call = api.get("/api/calls", &bea.token).await.json();
        let path = format!("/api/calls/{}/events", call["items"][0]["id"].as_str().unwrap());
        assert_eq!(api.get(&path, &cy.token).await.problem().0, 403);
        api.get(&path, &bea.token).await.json()
    };
    let kinds: Vec<_> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    assert_eq!(kinds, ["join", "removed", "let_back", "join"], "{events}");
}

#[tokio::test]
async fn members_and_admitted_guests_who_are_put_out_stay_out() {
    let (livekit, address) = FakeLiveKit::start().await;
    let api = Api::beside(address, |_| {}).await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    room(&api, &bea, "demo", &[&cy.id], json!({"waiting_room": true})).await;
    let role = format!("{ROOMS}/demo/members/{}", cy.id);
    let made = api
        .call(Method::PUT, &role, &bea.token, &json!({"role": "moderator"}))
        .await;
    assert_eq!(made.status, 200, "{}", made.text());
    let invited = api
        .post(
            &format!("{ROOMS}/demo/invitations"),
            &bea.token,
            &json!({"guest": true}),
        )
        .await
        .json();
    for who in [&bea, &cy] {
        livekit.comes("demo", &who.id);
        comes(&api, "demo", &who.id).await;
    }
    let knock = json!({"invitation": invited["token"], "name": "Bob"});
    let waits = api.post(&format!("{ROOMS}/demo/join"), "", &knock).await.json();
    let all = format!("{ROOMS}/demo/waiting/admit-all");
    assert_eq!(api.post(&all, &cy.token, &json!({})).await.json()["admitted"], 1);
    let poll = waits["poll"].as_str().unwrap();
    let bob = api.get(poll, "").await.json()["identity"].as_str().unwrap().to_owned();
    livekit.comes("demo", &bob);
    comes(&api, "demo", &bob).await;

    let remove = async |who: &str, by: &Person| {
        let path = format!("{ROOMS}/demo/participants/{who}/remove");
        api.post(&path, &by.token, &json!({})).await.status.as_u16()
    };
    assert_eq!(
        remove(&bea.id, &cy).await,
        403,
        "a moderator does not put out the owner"
    );
    assert_eq!(remove(&bob, &cy).await, 204);
    assert_eq!(api.get(poll, "").await.problem(), (403, "removed_from_call".into()));
    assert_eq!(remove(&cy.id, &bea).await, 204);
    let join = api.post(&format!("{ROOMS}/demo/join"), &cy.token, &json!({})).await;
    assert_eq!(join.problem(), (403, "removed_from_call".into()));
    let token = api
        .post("/api/livekit/token", &cy.token, &json!({"room": "demo"}))
        .await;
    assert_eq!(token.problem(), (403, "removed_from_call".into()));
    let back = format!("{ROOMS}/demo/removed/{}", cy.id);
    let by_themselves = api.call(Method::DELETE, &back, &cy.token, &json!({})).await;
    assert_eq!(by_themselves.problem().0, 403);
    // The call ends, and with it what happened in it.
    let calls = api.services.store.calls();
    calls
        .room_finished("demo", "RM_demo", api.services.clock.now())
        .await
        .unwrap();
    assert_eq!(
        api.post(&format!("{ROOMS}/demo/join"), &cy.token, &json!({}))
            .await
            .status,
        200
    );
}

/// What the server tells when somebody has come.
async fn told(api: &Api, room: &str, identity: &str) {
    let now = i64::try_from(api.services.clock.now().as_millis()).unwrap();
    let body = json!({
        "event": "participant_joined", "id": "EV_1", "createdAt": (now / 1000).to_string(),
        "room": {"name": room, "sid": format!("RM_{room}")},
        "participant": {
            "sid": format!("PA_{identity}_again"), "identity": identity, "name": identity,
            "joinedAt": (now / 1000).to_string(), "joinedAtMs": now.to_string(),
        },
    });
    assert_eq!(webhook(api, &body.to_string()).await.status, 204);
}

#[tokio::test]
async fn whoever_connects_and_may_not_is_put_out_again() {
    let (livekit, address) = FakeLiveKit::start().await;
    let api = Api::beside(address, |_| {}).await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    let (bob, _) = with_a_guest(&api, &livekit, &bea).await;
    let bob = bob["identity"].as_str().unwrap();
    let post = async |path: &str| {
        api.post(&format!("{ROOMS}/demo/{path}"), &bea.token, &json!({}))
            .await
            .status
    };

    // Somebody whose token was given out before the room was locked; somebody who was there; a moderator.
    assert_eq!(post("lock").await, 204);
    for identity in ["late", bob, ada.id.as_str(), cy.id.as_str()] {
        if identity != bob {
            livekit.comes("demo", identity);
        }
        told(&api, "demo", identity).await;
    }
    for (identity, stays) in [
        ("late", false),
        (bob, true),
        (ada.id.as_str(), true),
        (cy.id.as_str(), false),
    ] {
        assert_eq!(livekit.is_in("demo", identity), stays, "{identity}");
    }
    assert_eq!(post("unlock").await, 204);

    assert_eq!(post(&format!("participants/{bob}/remove")).await, 204);
    livekit.comes("demo", bob);
    told(&api, "demo", bob).await;
    assert!(!livekit.is_in("demo", bob), "put out again");
    livekit.comes("demo", "late");
    told(&api, "demo", "late").await;
    assert!(livekit.is_in("demo", "late"));

    let ended = api
        .call(Method::DELETE, &format!("{ROOMS}/demo"), &bea.token, &json!({}))
        .await;
    assert_eq!(ended.status, 204);
    livekit.comes("demo", "late");
    told(&api, "demo", "late").await;
    assert!(!livekit.is_in("demo", "late"), "the room is closed again");
}

#[tokio::test]
async fn calls_are_true_without_any_webhook_though_their_size_does_not_change() {
    let (livekit, address) = FakeLiveKit::start().await;
    let api = Api::beside(address, |_| {}).await;
    let app = App::new(crate::ApiConfig::default(), api.services.clone()).unwrap();
    let ada = admin(&api).await;
    room(&api, &ada, "demo", &[], json!({})).await;
    let there = async || {
        let live = api.services.store.rooms().get("demo", None).await.unwrap().call;
        let mut there: Vec<_> = live
            .into_iter()
            .flat_map(|call| call.present)
            .map(|one| one.identity)
            .collect();
        there.sort();
        there
    };
    // Who has just come may be newer than what was asked for, so they came before.
    livekit.came("demo", "bob", Duration::from_mins(1));
    watch::reconcile(&app).await.unwrap();
    assert_eq!(there().await, ["bob"]);
    livekit.goes("demo", "bob");
    livekit.comes("demo", "eve");
    watch::reconcile(&app).await.unwrap();
    assert_eq!(there().await, ["eve"]);
}

#[tokio::test]
async fn roles_change_what_those_who_are_in_may_do() {
    let (livekit, address) = FakeLiveKit::start().await;
    let api = Api::beside(address, |_| {}).await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    let dan = member(&api, &ada, "dan").await;
    let body = json!({
        "name": "demo", "title": "A webinar", "call_type": "video", "participants": ["cy@example.org"],
        "speakers": ["dan@example.org"],
    });
    let made = api.post(ROOMS, &bea.token, &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    for who in [&bea, &cy, &dan] {
        livekit.comes("demo", &who.id);
        comes(&api, "demo", &who.id).await;
    }
    let patch = async |body: Value| {
        let changed = api
            .call(Method::PATCH, &format!("{ROOMS}/demo"), &bea.token, &body)
            .await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        changed.json()
    };
    let speaks = |who: &Person| livekit.may_publish("demo", &who.id).unwrap();
    patch(json!({"options": {"listeners_only": true}})).await;
    assert_eq!((speaks(&bea), speaks(&cy), speaks(&dan)), (true, false, true));
    let post = async |path: &str| {
        let done = api.post(&format!("{ROOMS}/demo/{path}"), &bea.token, &json!({})).await;
        assert_eq!(done.status, 204, "{path}: {}", done.text());
    };
    let role = async |who: &Person| {
        let shown = api.get(&format!("{ROOMS}/demo"), &who.token).await.json();
        shown["role"].as_str().unwrap().to_owned()
    };
    post(&format!("participants/{}/promote", cy.id)).await;
    assert_eq!((speaks(&cy), role(&cy).await), (true, "speaker".to_owned()));
    post(&format!("participants/{}/demote", cy.id)).await;
    assert_eq!((speaks(&cy), role(&cy).await), (false, "member".to_owned()));
    let put = async |who: &Person, by: &Person, role: &str| {
        let place = format!("{ROOMS}/demo/members/{}", who.id);
        api.call(Method::PUT, &place, &by.token, &json!({"role": role}))
            .await
            .status
            .as_u16()
    };
    assert_eq!(put(&cy, &cy, "moderator").await, 403);
    assert_eq!(put(&cy, &bea, "moderator").await, 200);
    assert_eq!((speaks(&cy), role(&cy).await), (true, "moderator".to_owned()));
    let locked = api.post(&format!("{ROOMS}/demo/lock"), &cy.token, &json!({})).await;
    assert_eq!(locked.status, 204, "a moderator locks");
    assert_eq!(put(&bea, &bea, "listener").await, 422, "the owner stays it");
    patch(json!({"moderators": [], "speakers": ["cy@example.org"]})).await;
    assert_eq!(
        (role(&cy).await, role(&dan).await),
        ("speaker".to_owned(), "member".to_owned())
    );
    assert_eq!((speaks(&cy), speaks(&dan)), (true, false));
    patch(json!({"options": {"listeners_only": false}})).await;
    assert!(speaks(&dan));
    let gone = format!("{ROOMS}/demo/members/{}", dan.id);
    assert_eq!(
        api.call(Method::DELETE, &gone, &bea.token, &json!({})).await.status,
        204
    );
    assert!(!livekit.is_in("demo", &dan.id));
    assert_eq!(
        api.get(&format!("{ROOMS}/demo"), &cy.token).await.json()["members"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

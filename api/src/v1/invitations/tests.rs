//! Invitations and waiting rooms, the whole way through the router.

use axum::{
    body::Body,
    http::{Method, header},
};
use greffier_media::time::Clock as _;
use greffier_store::meetings::ObservedParticipant;
use serde_json::{Value, json};

use crate::{
    testing::{Api, request},
    v1::{
        accounts::tests::{admin, member},
        rooms::tests::{comes, room},
    },
};

const ROOMS: &str = "/api/livekit/rooms";

async fn invitation(api: &Api, token: &str, body: Value) -> String {
    let made = api.post(&format!("{ROOMS}/demo/invitations"), token, &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn guests_come_in_by_invitation() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let bea = member(&api, &ada, "bea").await;
    room(&api, &bea, "demo", &[], json!({})).await;
    let token = invitation(
        &api,
        &bea.token,
        json!({"guest": true, "max_uses": 1, "expires_in_hours": 1}),
    )
    .await;
    let info = api.get(&format!("/api/invitations/{token}"), "").await.json();
    assert_eq!(
        (info["room"].as_str(), info["owner"].as_str()),
        (Some("demo"), Some("bea"))
    );
    assert_eq!(
        (info["needs_name"].as_bool(), info["live"].as_bool()),
        (Some(true), Some(false))
    );
    let join = async |body: Value| api.post(&format!("{ROOMS}/demo/join"), "", &body).await;
    let nameless = join(json!({"invitation": token})).await;
    assert_eq!(nameless.json()["errors"][0]["pointer"], "/name");
    let admitted = join(json!({"invitation": token, "name": "Bob"})).await.json();
    assert_eq!(admitted["status"], "admitted");
    assert!(admitted["identity"].as_str().unwrap().starts_with("guest_"));
    // A guest is let into their room, and nowhere else.
    let guest = admitted["token"].as_str().unwrap();
    comes(&api, "demo", admitted["identity"].as_str().unwrap()).await;
    assert_eq!(
        api.post(&format!("{ROOMS}/demo/leave"), guest, &json!({})).await.status,
        204
    );
    assert_eq!(
        api.post(&format!("{ROOMS}/demo/lock"), guest, &json!({}))
            .await
            .problem()
            .0,
        403
    );
    assert_eq!(api.get("/api/contacts", guest).await.problem().0, 403);
    assert_eq!(
        api.post(ROOMS, guest, &json!({"title": "x", "call_type": "video"}))
            .await
            .problem()
            .0,
        403
    );

    let used_up = join(json!({"invitation": token, "name": "Eve"})).await;
    assert_eq!(used_up.problem(), (404, "invitation_not_found".into()));
    assert_eq!(api.get(&format!("/api/invitations/{token}"), "").await.problem().0, 404);
    let of_members = invitation(&api, &bea.token, json!({"guest": false})).await;
    let refused = join(json!({"invitation": of_members, "name": "Eve"})).await;
    assert_eq!(refused.problem(), (404, "invitation_not_found".into()));
}

#[tokio::test]
async fn people_with_an_account_stay_members() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    room(&api, &bea, "demo", &[], json!({})).await;
    let token = invitation(&api, &bea.token, json!({"max_uses": 1})).await;
    let join = async |body: Value| api.post(&format!("{ROOMS}/demo/join"), &cy.token, &body).await;
    assert_eq!(join(json!({})).await.problem(), (403, "forbidden".into()));
    assert_eq!(join(json!({"invitation": "made up"})).await.problem().0, 404);
    assert_eq!(join(json!({"invitation": token})).await.json()["identity"], cy.id);
    assert_eq!(
        join(json!({})).await.json()["status"],
        "admitted",
        "from now on by right"
    );
    let listed = api.get(&format!("{ROOMS}/demo/invitations"), &bea.token).await.json();
    assert_eq!(
        (listed["items"][0]["uses"].as_u64(), listed["items"][0].get("token")),
        (Some(1), None)
    );
    let path = format!(
        "{ROOMS}/demo/invitations/{}",
        listed["items"][0]["id"].as_str().unwrap()
    );
    assert_eq!(
        api.call(Method::DELETE, &path, &bea.token, &json!({})).await.status,
        204
    );
    assert_eq!(
        api.call(Method::DELETE, &path, &bea.token, &json!({}))
            .await
            .problem()
            .0,
        404
    );
}

#[tokio::test]
async fn the_waiting_room_lets_nobody_past() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    room(&api, &bea, "demo", &[&cy.id], json!({"waiting_room": true})).await;
    let token = invitation(&api, &bea.token, json!({"guest": true})).await;
    let knock = async |name: &str| {
        let body = json!({"invitation": token, "name": name});
        let answer = api.post(&format!("{ROOMS}/demo/join"), "", &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()
    };
    let (bob, eve, dan) = (knock("Bob").await, knock("Eve").await, knock("Dan").await);
    let poll = async |who: &Value| api.get(who["poll"].as_str().unwrap(), "").await.json();
    assert_eq!(poll(&bob).await, json!({"status": "waiting"}));
    let told = api.get("/api/notifications", &bea.token).await.json();
    assert_eq!(
        (
            told["items"][0]["kind"].as_str(),
            told["items"].as_array().unwrap().len()
        ),
        (Some("waiting"), 3)
    );
    let door = format!("{ROOMS}/demo/waiting");
    assert_eq!(
        api.get(&door, &cy.token).await.problem().0,
        403,
        "a member decides nothing"
    );
    assert_eq!(
        api.get(&door, &bea.token).await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let decide = async |who: &Value, verb: &str| {
        let path = format!("{door}/{}/{verb}", who["waiting_id"].as_str().unwrap());
        api.post(&path, &bea.token, &json!({})).await.status.as_u16()
    };
    assert_eq!((decide(&bob, "admit").await, decide(&eve, "deny").await), (204, 204));
    let admitted = poll(&bob).await;
    assert_eq!(
        (admitted["status"].as_str(), admitted["room"].as_str()),
        (Some("admitted"), Some("demo"))
    );
    assert!(admitted["token"].as_str().unwrap().len() > 100);
    assert_eq!(poll(&eve).await, json!({"status": "denied"}));
    let all = api
        .post(&format!("{door}/admit-all"), &bea.token, &json!({}))
        .await
        .json();
    assert_eq!(all["admitted"], 1);
    assert_eq!(poll(&dan).await["status"], "admitted");
    let forged = format!("/api/waiting/{}?secret=guess", eve["waiting_id"].as_str().unwrap());
    assert_eq!(api.get(&forged, "").await.problem(), (404, "not_waiting".into()));
    // Members do not wait.
    assert_eq!(
        api.post(&format!("{ROOMS}/demo/join"), &cy.token, &json!({}))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_guest_who_reloads_is_the_same_guest_and_uses_the_link_once() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let bea = member(&api, &ada, "bea").await;
    room(&api, &bea, "demo", &[], json!({})).await;
    let once = invitation(&api, &bea.token, json!({"guest": true, "max_uses": 1})).await;
    let join = async |body: Value, cookie: &str| {
        let mut asked =
            request(Method::POST, &format!("{ROOMS}/demo/join"), "").header("content-type", "application/json");
        if !cookie.is_empty() {
            asked = asked.header(header::COOKIE, cookie);
        }
        api.send(asked.body(Body::from(body.to_string())).unwrap()).await
    };
    let knock = json!({"invitation": once, "name": "Bob"});
    let first = join(knock.clone(), "").await;
    assert_eq!(first.status, 200, "{}", first.text());
    let cookie = first.header(header::SET_COOKIE).split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("greffier_guest="), "{cookie}");
    let identity = first.json()["identity"].clone();

    let by_cookie = join(knock.clone(), &cookie).await;
    assert_eq!(by_cookie.json()["identity"], identity, "{}", by_cookie.text());
    let mut shown = knock.clone();
    shown["guest"] = first.json()["guest"].clone();
    assert_eq!(join(shown, "").await.json()["identity"], identity);
    // The link is used up for everybody else, and still shown to whoever used it.
    for guest in ["", "greffier_guest=another"] {
        assert_eq!(
            join(knock.clone(), guest).await.problem(),
            (404, "invitation_not_found".into())
        );
    }
    let look = async |cookie: &str| {
        let asked = request(Method::GET, &format!("/api/invitations/{once}"), "").header(header::COOKIE, cookie);
        api.send(asked.body(Body::empty()).unwrap()).await.status.as_u16()
    };
    assert_eq!((look(&cookie).await, look("x=y").await), (200, 404));
    let listed = api.get(&format!("{ROOMS}/demo/invitations"), &bea.token).await.json();
    assert_eq!(listed["items"][0]["uses"], 1);
}

#[tokio::test]
async fn waiting_uses_no_link_and_members_come_of_it() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    room(
        &api,
        &bea,
        "demo",
        &[],
        json!({"waiting_room": true, "max_participants": 2}),
    )
    .await;
    let link = invitation(&api, &bea.token, json!({"guest": true, "max_uses": 2})).await;
    let uses = async || {
        let listed = api.get(&format!("{ROOMS}/demo/invitations"), &bea.token).await.json();
        listed["items"][0]["uses"].as_u64().unwrap()
    };
    let knock = async |token: &str, body: Value| {
        let answer = api.post(&format!("{ROOMS}/demo/join"), token, &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()
    };
    let bob = knock("", json!({"invitation": link, "name": "Bob"})).await;
    let again = json!({"invitation": link, "name": "Bob", "guest": bob["guest"]});
    let bob_again = knock("", again).await;
    assert_eq!(
        bob["waiting_id"], bob_again["waiting_id"],
        "a reload does not wait twice"
    );
    let cy_waits = knock(&cy.token, json!({"invitation": link})).await;
    assert_eq!(uses().await, 0);
    let door = format!("{ROOMS}/demo/waiting");
    let waiting = api.get(&door, &bea.token).await.json();
    assert_eq!(waiting["items"].as_array().unwrap().len(), 2);
    assert_eq!(
        api.post(&format!("{door}/admit-all"), &bea.token, &json!({}))
            .await
            .json()["admitted"],
        2
    );
    let poll = async |who: &Value| api.get(who["poll"].as_str().unwrap(), "").await;
    assert_eq!(poll(&bob).await.problem().0, 404, "the page before the reload");

    // The room is full meanwhile.
    for identity in [bea.id.as_str(), "robot"] {
        comes(&api, "demo", identity).await;
    }
    assert_eq!(poll(&bob_again).await.problem(), (409, "room_full".into()));
    assert_eq!(uses().await, 0);
    let token = api
        .post("/api/livekit/token", &ada.token, &json!({"room": "demo"}))
        .await;
    assert_eq!(token.problem(), (409, "room_full".into()));
    let calls = api.services.store.calls();
    calls
        .room_finished("demo", "RM_demo", api.services.clock.now())
        .await
        .unwrap();

    for _ in 0..2 {
        assert_eq!(poll(&bob_again).await.json()["status"], "admitted");
        let admitted = poll(&cy_waits).await.json();
        assert_eq!(admitted["identity"], cy.id, "{admitted}");
    }
    assert_eq!(uses().await, 2, "once each, however often they ask");
    assert_eq!(
        api.get(&format!("{ROOMS}/demo"), &cy.token).await.json()["role"],
        "member",
        "as for those who come in without waiting"
    );
}

#[tokio::test]
async fn guests_see_the_room_and_nobody_s_address_nor_what_was_before() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let bea = member(&api, &ada, "bea").await;
    room(&api, &bea, "demo", &["ada@example.org"], json!({})).await;
    let say = async |person: &str, text: &str| {
        let body = json!({"id": text, "text": text});
        api.post(&format!("{ROOMS}/demo/chat"), person, &body)
            .await
            .status
            .as_u16()
    };
    comes(&api, "demo", &bea.id).await;
    assert_eq!(say(&bea.token, "yesterday").await, 204);
    let calls = api.services.store.calls();
    let old = calls.live("demo").await.unwrap();
    calls
        .room_finished("demo", "RM_demo", api.services.clock.now())
        .await
        .unwrap();

    let link = invitation(&api, &bea.token, json!({"guest": true})).await;
    let knock = json!({"invitation": link, "name": "Bob"});
    let bob = api.post(&format!("{ROOMS}/demo/join"), "", &knock).await.json();
    let (guest, identity) = (bob["token"].as_str().unwrap(), bob["identity"].as_str().unwrap());
    let chat = async |query: &str| api.get(&format!("{ROOMS}/demo/chat{query}"), guest).await;
    assert_eq!(chat("").await.json()["items"], json!([]), "not in it yet");
    let now = api.services.clock.now();
    for who in [bea.id.as_str(), identity] {
        let person = ObservedParticipant {
            sid: format!("PA_2_{who}"),
            identity: who.into(),
            name: who.into(),
            joined: now,
        };
        calls.participant_joined("demo", "RM_today", &person).await.unwrap();
    }
    assert_eq!(say(&bea.token, "today").await, 204);
    assert_eq!(say(guest, "me too").await, 204);
    let heard = chat("").await.json();
    let heard: Vec<_> = heard["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["text"].clone())
        .collect();
    assert_eq!(heard, ["today", "me too"]);
    assert_eq!(
        chat(&format!("?call={old}")).await.problem(),
        (404, "call_not_found".into())
    );

    let seen = api.get(&format!("{ROOMS}/demo"), guest).await;
    assert_eq!(seen.json()["participants_now"].as_array().unwrap().len(), 2);
    assert!(!seen.text().contains("example.org"), "{}", seen.text());
    assert!(seen.json().get("members").is_none() && seen.json().get("participants_before").is_none());
    for path in [
        "/api/calls".to_owned(),
        format!("/api/calls/{old}"),
        format!("/api/calls/{old}/events"),
    ] {
        assert_eq!(api.get(&path, guest).await.problem().0, 403, "{path}");
    }
    // Whom the room belongs to sees it all.
    let seen = api.get(&format!("{ROOMS}/demo"), &bea.token).await;
    assert!(seen.text().contains("ada@example.org") && seen.json()["participants_before"].is_array());
    assert_eq!(
        seen.json()["participants_now_from"],
        "last_told",
        "the server cannot be asked"
    );
}

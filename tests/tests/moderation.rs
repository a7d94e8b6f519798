//! What moderators do, against the real server: it is done there, and whoever is put out does not come back.

use std::time::Duration;

use greffier_tests::greffier::{Answer, Caller, eventually};
use greffier_tests::meeting::{Meeting, Step};
use greffier_tests::{Deadline, Microphone, Plan, Stage, need};
use livekit_api::access_token::VideoGrants;
use reqwest::Method;
use serde_json::{Value, json};

/// One request to the server and back, on a busy machine; a peer that is refused tries for up to 20 s.
const SOON: Duration = Duration::from_secs(25);
const ROOM: &str = "/api/livekit/rooms/board";

/// The owner of the room, who is not in it herself: her requests.
struct Owner<'a> {
    stage: &'a Stage,
    caller: Caller,
}

impl Owner<'_> {
    #[track_caller]
    fn does(&self, verb: &str) {
        self.caller.post(&format!("{ROOM}/{verb}"), &json!({})).expect(204);
    }

    /// Somebody without an account asks to come in.
    fn knock(&self, invitation: &Value, name: &str, guest: Option<&Value>) -> Answer {
        let body = json!({ "invitation": invitation, "name": name, "guest": guest });
        self.stage.greffier.nobody().post(&format!("{ROOM}/join"), &body)
    }

    fn poll(&self, waiting: &Value) -> Answer {
        let path = waiting["poll"].as_str().expect("where to ask");
        self.stage.greffier.nobody().get(path)
    }

    /// Somebody as the server itself sees them.
    fn seen(&self, identity: &str) -> Option<Value> {
        let server = &self.stage.server;
        let grants = VideoGrants {
            room_admin: true,
            room: "board".to_owned(),
            ..VideoGrants::default()
        };
        let token = server.token_with("tester", grants).expect("a token");
        let url = format!("{}/twirp/livekit.RoomService/GetParticipant", server.http_url());
        let asked = reqwest::blocking::Client::builder()
            .no_proxy()
            .build()
            .expect("a client")
            .post(url)
            .bearer_auth(token)
            .json(&json!({ "room": "board", "identity": identity }));
        let answer = Answer::of(asked).expect("an answer");
        (answer.status == 200).then(|| answer.json())
    }

    /// Waits until the server sees somebody so.
    #[track_caller]
    fn wait_until(&self, what: &str, identity: &str, wanted: impl Fn(Option<&Value>) -> bool) {
        let found = eventually(Deadline::within(SOON), || {
            Ok(wanted(self.seen(identity).as_ref()).then_some(()))
        });
        assert!(found.expect("asked").is_some(), "{what}: {:?}", self.seen(identity));
    }
}

/// A peer connects with a token that Greffier gave out.
fn connect(meeting: &mut Meeting, peer: &str, stage: &Stage, token: &Value) {
    let join = Step::Join {
        url: stage.server.url(),
        token: token.as_str().expect("a token").to_owned(),
        listen: false,
        subscribe: false,
    };
    meeting.tell(peer, &join).expect("told");
}

/// Waits for a peer's n-th fact of a kind.
#[track_caller]
fn nth(meeting: &mut Meeting, peer: &str, what: &str, n: usize, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut found = 0;
    meeting
        .wait_for(peer, what, SOON, |fact| {
            found += usize::from(wanted(fact));
            found == n
        })
        .unwrap_or_else(|error| panic!("{peer}, {what} {n}: {error:#}"))
}

fn is(event: &'static str) -> impl Fn(&Value) -> bool {
    move |fact| fact["event"] == event
}

/// It is out, or did not come in at all.
fn is_out(fact: &Value) -> bool {
    fact["event"] == "disconnected" || (fact["event"] == "failed" && fact["step"] == "join")
}

#[test]
fn moderators_mute_remove_lock_promote_and_admit() {
    let Some(mut stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    let peers = Plan::new("board").peer("bob", |peer| peer).peer("eve", |peer| peer);
    let Some(mut meeting) = need(peers.start(&stage.server)) else {
        return;
    };
    let caller = stage.greffier.administrator();
    let owner = Owner { stage: &stage, caller };
    let room = json!({ "name": "board", "title": "Board", "call_type": "video", "options": { "recording": "never" } });
    owner.caller.post("/api/livekit/rooms", &room).expect(201);
    let invited = owner
        .caller
        .post(&format!("{ROOM}/invitations"), &json!({ "guest": true }));
    let invitation = invited.expect(201).json()["token"].clone();

    // Mute, hands, and who may speak.
    let bob = owner.knock(&invitation, "Bob", None).expect(200).json();
    let identity = bob["identity"].as_str().expect("an identity").to_owned();
    let of_bob = |verb: &str| format!("participants/{identity}/{verb}");
    connect(&mut meeting, "bob", &stage, &bob["token"]);
    nth(&mut meeting, "bob", "its joining", 1, is("joined"));
    let publish = Step::Publish {
        source: greffier_tests::Source::Microphone,
        options: Microphone::opus().into(),
    };
    meeting.tell("bob", &publish).expect("told");
    nth(&mut meeting, "bob", "its microphone", 1, is("published"));
    // At once, when the server may not have listed the track yet.
    owner.does(&of_bob("mute"));
    owner.wait_until("muted", &identity, |seen| {
        seen.is_some_and(|seen| seen["tracks"][0]["muted"] == true)
    });
    let hand = [("hand_raised_at".to_owned(), "1".to_owned())].into();
    meeting
        .tell("bob", &Step::Attributes { attributes: hand })
        .expect("told");
    let is_up = |seen: Option<&Value>| {
        seen.is_some_and(|seen| {
            seen["attributes"]["hand_raised_at"]
                .as_str()
                .is_some_and(|at| !at.is_empty())
        })
    };
    owner.wait_until("a hand", &identity, is_up);
    owner.does("lower-hands");
    owner.wait_until("no hand", &identity, |seen| !is_up(seen));
    let may_speak = |seen: Option<&Value>| {
        let permission = &seen.map_or(Value::Null, |seen| seen["permission"].clone());
        permission["can_publish"] == true || permission["canPublish"] == true
    };
    let listens = |seen: Option<&Value>| seen.is_some() && !may_speak(seen);
    owner.does(&of_bob("demote"));
    owner.wait_until("a listener", &identity, listens);
    owner.does(&of_bob("promote"));
    owner.wait_until("a speaker", &identity, may_speak);
    let webinar = json!({ "options": { "listeners_only": true } });
    owner.caller.ask(Method::PATCH, ROOM, &webinar).expect(200);
    owner.wait_until("one of the audience", &identity, listens);
    owner.does(&of_bob("promote"));
    owner.wait_until("one of the speakers", &identity, may_speak);

    // Eve has her token, and then the room is locked.
    let eve = owner.knock(&invitation, "Eve", None).expect(200).json();
    owner.does("lock");
    connect(&mut meeting, "eve", &stage, &eve["token"]);
    nth(&mut meeting, "eve", "being refused", 1, is_out);
    let eve_is = eve["identity"].as_str().expect("an identity");
    owner.wait_until("nobody", eve_is, |seen| seen.is_none());
    owner.does("unlock");

    // Whoever is put out does not come back: not by the link, and not with the token.
    owner.does(&of_bob("remove"));
    nth(&mut meeting, "bob", "being put out", 1, is_out);
    assert_eq!(owner.knock(&invitation, "Bob", Some(&bob["guest"])).status, 403);
    connect(&mut meeting, "bob", &stage, &bob["token"]);
    nth(&mut meeting, "bob", "being put out again", 2, is_out);
    owner.wait_until("nobody", &identity, |seen| seen.is_none());

    // New guests wait now; one is denied, one admitted, the others all at once.
    let [dan, fay, gil] = ["Dan", "Fay", "Gil"].map(|name| owner.knock(&invitation, name, None).expect(202).json());
    for (waiting, verb) in [(&dan, "deny"), (&fay, "admit")] {
        owner.does(&format!(
            "waiting/{}/{verb}",
            waiting["waiting_id"].as_str().expect("an id")
        ));
    }
    let all = owner.caller.post(&format!("{ROOM}/waiting/admit-all"), &json!({}));
    assert_eq!(all.expect(200).json()["admitted"], 1);
    assert_eq!(owner.poll(&dan).expect(200).json()["status"], "denied");
    assert_eq!(owner.poll(&gil).expect(200).json()["status"], "admitted");
    let fay = owner.poll(&fay).expect(200).json();
    connect(&mut meeting, "eve", &stage, &fay["token"]);
    nth(&mut meeting, "eve", "coming in", 1, |fact| {
        fact["event"] == "joined" && fact["identity"] == fay["identity"]
    });
    let fay_is = fay["identity"].as_str().expect("an identity");
    owner.wait_until("there", fay_is, |seen| seen.is_some());

    // Let back in, Bob is who he was.
    owner
        .caller
        .ask(Method::DELETE, &format!("{ROOM}/removed/{identity}"), &json!({}))
        .expect(204);
    let back = owner.knock(&invitation, "Bob", Some(&bob["guest"])).expect(200).json();
    assert_eq!(back["identity"], identity.as_str());
    drop(meeting);
    stage.greffier.expect_healthy();
}

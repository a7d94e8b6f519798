//! Greffier killed and started again while people are in a call: they notice nothing, and nothing that it knew is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use greffier_tests::greffier::{Answer, Caller};
use greffier_tests::stage::wait_for;
use greffier_tests::{Microphone, Plan, Stage, Step, need};
use reqwest::Method;
use serde_json::{Value, json};

/// Who came and who left meanwhile is known so long after the start: what the product promises.
const TRUE_AGAIN_WITHIN: Duration = Duration::from_secs(10);
/// A peer connects within a second; a busy machine takes longer.
const CONNECTED_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn a_kill_during_a_call_loses_nothing_and_who_came_and_went_meanwhile_is_found_out() {
    let Some(mut stage) = need(Stage::start(|greffier| greffier.set("recording.rules", "[]"))) else {
        return;
    };
    let before = Installation::set_up(&mut stage);
    let Some(mut meeting) = need(
        Plan::new(before.room.as_str())
            .peer("ana", |p| p.at(0.5).join().publish(Microphone::opus()))
            .peer("ben", |p| p.at(0.5).join().publish(Microphone::opus()))
            .peer("cat", |p| p)
            .start(&stage.server),
    ) else {
        return;
    };
    before.wait_for_people(&["ana", "ben"], CONNECTED_WITHIN);
    let call = before.live_call();
    let known = before.look();

    stage.greffier.crash().expect("killed");
    meeting.tell("ana", &Step::Leave).expect("told");
    meeting
        .wait_for("ana", "leaving", CONNECTED_WITHIN, |fact| fact["event"] == "left")
        .expect("ana left");
    let join = Step::Join {
        url: stage.server.url(),
        token: stage.server.token(&before.room, "cat").expect("a token"),
        listen: false,
        subscribe: true,
    };
    meeting.tell("cat", &join).expect("told");
    meeting
        .wait_for("cat", "joining", CONNECTED_WITHIN, |fact| fact["event"] == "joined")
        .expect("cat is there");
    stage.greffier.restart().expect("it starts again");

    // First of all what it is about: LiveKit is asked who is there.
    before.wait_for_people(&["ben", "cat"], TRUE_AGAIN_WITHIN);
    assert_eq!(before.live_call(), call, "it is the same call");
    assert_eq!(before.look(), known);
    // So is the call's history: each was there once.
    let expected = (vec![true], vec![false], vec![false]);
    let mut history = Value::Null;
    let corrected = wait_for("the call's history", TRUE_AGAIN_WITHIN, || {
        history = before.get(&format!("/api/calls/{call}"));
        let stays = (stays(&history, "ana"), stays(&history, "ben"), stays(&history, "cat"));
        Ok((stays == expected).then_some(()))
    });
    corrected.unwrap_or_else(|error| panic!("{error}: {history}"));

    // The browser's cookie is good for another token, and the cookie after it too: once each.
    let nobody = stage.greffier.nobody();
    let (camille, cookie) = refresh(&nobody, &before.cookie);
    assert_eq!(
        camille.get("/api/me").expect(200).json()["email"],
        "camille@example.org"
    );
    refresh(&nobody, &cookie);
    // So is the invitation.
    let guest = json!({ "invitation": before.invitation, "name": "Dan" });
    let path = format!("/api/livekit/rooms/{}/join", before.room);
    let admitted = nobody.post(&path, &guest).expect(200).json();
    assert_eq!(admitted["status"], "admitted");

    // Those who stayed never noticed: they are in the room still, and their leaving is told as ever.
    for who in ["ben", "cat"] {
        meeting.tell(who, &Step::Leave).expect("told");
    }
    before.wait_for_people(&[], TRUE_AGAIN_WITHIN);
    stage.greffier.expect_healthy();
    stage.greffier.stop().expect("it ends");
    stage.greffier.expect_check_clean();
}

/// Somebody who administers, somebody who works there, a room of theirs, and a way into it.
struct Installation {
    camille: Caller,
    cookie: String,
    room: String,
    invitation: String,
}

impl Installation {
    fn set_up(stage: &mut Stage) -> Self {
        let link = stage.greffier.setup_link().expect("it is printed on the first start");
        let nobody = stage.greffier.nobody();
        let done = nobody.set_up(&link).expect(201);
        let camille = nobody.known_by(&done);
        let colleague = json!({
            "email": "bea@example.org", "name": "Bea", "role": "member", "password": "correct horse battery",
        });
        camille.post("/api/users", &colleague).expect(201);
        let room = json!({ "title": "Board", "call_type": "audio", "participants": ["bea@example.org"] });
        let room = text(&camille.post("/api/livekit/rooms", &room).expect(201).json(), "name");
        let path = format!("/api/livekit/rooms/{room}/invitations");
        let invited = camille.post(&path, &json!({ "guest": true })).expect(201);
        Self {
            cookie: cookie_of(&done),
            invitation: text(&invited.json(), "token"),
            room,
            camille,
        }
    }

    fn get(&self, path: &str) -> Value {
        self.camille.get(path).expect(200).json()
    }

    /// What does not change while people come and go.
    fn look(&self) -> [Value; 4] {
        let room = self.get(&format!("/api/livekit/rooms/{}", self.room));
        assert_eq!(room["members"].as_array().map(Vec::len), Some(2), "{room}");
        let steady = [
            "name",
            "title",
            "call_type",
            "members",
            "options",
            "owner",
            "created_at",
        ];
        [
            steady.map(|field| room[field].clone()).to_vec().into(),
            self.get(&format!("/api/livekit/rooms/{}/invitations", self.room)),
            self.get("/api/users"),
            self.get("/api/admin/settings"),
        ]
    }

    fn live_call(&self) -> String {
        let room = self.get(&format!("/api/livekit/rooms/{}", self.room));
        text(&room["call"], "id")
    }

    /// Waits until the room's people are these, as Greffier has it.
    fn wait_for_people(&self, wanted: &[&str], within: Duration) {
        let wanted: BTreeSet<String> = wanted.iter().map(|&who| who.to_owned()).collect();
        let mut last = Value::Null;
        let seen = wait_for(&format!("{wanted:?} in the room"), within, || {
            last = self.get(&format!("/api/livekit/rooms/{}", self.room))["participants_now"].clone();
            let present = last.as_array().into_iter().flatten();
            let present: BTreeSet<String> = present.map(|one| text(one, "identity")).collect();
            Ok((present == wanted).then_some(()))
        });
        seen.unwrap_or_else(|error| panic!("{error}: {last}"));
    }
}

/// Of each time that somebody was in a call, whether it has ended.
fn stays(history: &Value, who: &str) -> Vec<bool> {
    let mut participants = history["participants"].as_array().into_iter().flatten();
    let found = participants.find(|one| one["identity"] == who);
    let intervals = found.and_then(|one| one["intervals"].as_array()).into_iter().flatten();
    intervals.map(|stay| stay["left_at"].is_string()).collect()
}

fn refresh(nobody: &Caller, cookie: &str) -> (Caller, String) {
    let request = nobody
        .request(Method::POST, "/api/auth/refresh")
        .header("cookie", cookie);
    let answer = Answer::of(request).expect("an answer").expect(200);
    let next = cookie_of(&answer);
    assert_ne!(next, cookie, "each is used once");
    (nobody.known_by(&answer), next)
}

#[track_caller]
fn text(value: &Value, field: &str) -> String {
    let found = value[field].as_str();
    found.unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}

fn cookie_of(answer: &Answer) -> String {
    answer
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap_or_default()
        .to_owned()
}

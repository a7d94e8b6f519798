//! Bad input, everywhere that somebody can send some: a clear error, no panic, nothing lost, nobody let in.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use greffier_tests::greffier::{Answer, Greffier, Recording, text_of};
use greffier_tests::process::now;
use greffier_tests::{Camera, Folder, Microphone, Plan, Server, Stage, need};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use reqwest::header::RANGE;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Signs any claims, sound or not, as HS256 (RFC 7515).
fn jwt(secret: &str, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Claims that would be good for so many seconds.
fn claims(server: &Server, seconds: f64) -> Value {
    // Whole seconds, as LiveKit writes them.
    let at = |offset: f64| Duration::from_secs_f64(now().plus(offset).0).as_secs();
    json!({
        "iss": server.api_key(), "sub": "mallory", "nbf": at(-7200.0), "exp": at(seconds),
        "video": { "roomRecord": true, "roomAdmin": true, "roomList": true },
    })
}

/// A webhook as LiveKit signs it, over this body.
fn signature(server: &Server, secret: &str, body: &[u8]) -> String {
    let mut claims = claims(server, 300.0);
    claims["sha256"] = STANDARD.encode(Sha256::digest(body)).into();
    jwt(secret, &claims)
}

fn webhook(greffier: &Greffier, token: Option<&str>, body: Vec<u8>) -> Answer {
    let mut request = greffier
        .request(Method::POST, "/webhooks/livekit")
        .header("content-type", "application/webhook+json")
        // A connection of its own: the server may hang up on the one before.
        .header("connection", "close")
        .body(body);
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    Answer::of(request).expect("an answer")
}

/// LiveKit's own shape of an event.
fn room_started(room: &str) -> Vec<u8> {
    let event = json!({
        "event": "room_started", "id": "EV_hostile", "createdAt": "1700000000",
        "room": { "sid": "RM_hostile", "name": room, "creationTime": "1700000000" },
    });
    event.to_string().into_bytes()
}

#[test]
fn webhooks_that_livekit_did_not_send_are_refused() {
    let Some(mut stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    let (server, greffier) = (&stage.server, &stage.greffier);
    let body = room_started("ghost");
    let good = signature(server, server.api_secret(), &body);
    let mut none = good.split('.').map(str::to_owned).collect::<Vec<_>>();
    none[0] = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    none[2] = String::new();
    let mut expired = claims(server, -3600.0);
    expired["sha256"] = STANDARD.encode(Sha256::digest(&body)).into();
    for (why, token) in [
        ("no signature", None),
        ("no token", Some(String::new())),
        ("no JWT", Some("hello".to_owned())),
        ("another secret", Some(signature(server, &"x".repeat(40), &body))),
        ("another body", Some(signature(server, server.api_secret(), b"{}"))),
        ("no hash", Some(jwt(server.api_secret(), &claims(server, 300.0)))),
        ("no algorithm", Some(none.join("."))),
        ("long over", Some(jwt(server.api_secret(), &expired))),
        ("a megabyte", Some("A".repeat(10_000))),
    ] {
        let answer = webhook(greffier, token.as_deref(), body.clone());
        assert!(
            matches!(answer.status, 401 | 403 | 431),
            "{why}: {} {}",
            answer.status,
            answer.text()
        );
    }
    // Signed, and still nonsense.
    for nonsense in [
        &b""[..],
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        br#"{"event":7}"#,
        br#"{"event":"unheard_of"}"#,
    ] {
        let token = signature(server, server.api_secret(), nonsense);
        let answer = webhook(greffier, Some(&token), nonsense.to_vec());
        assert!(
            answer.status < 500,
            "{:?}: {} {}",
            String::from_utf8_lossy(nonsense),
            answer.status,
            answer.text()
        );
    }
    let huge = vec![b' '; 4 << 20];
    let token = signature(server, server.api_secret(), &huge);
    let request = greffier
        .request(Method::POST, "/webhooks/livekit")
        .header("authorization", token)
        .body(huge);
    // It may hang up in the middle of it, too.
    let refused = Answer::of(request);
    assert!(refused.is_err() || refused.is_ok_and(|answer| matches!(answer.status, 400 | 413)));
    // Replays and rooms that are not there: taken, and nothing comes of it.
    for _ in 0..3 {
        let answer = webhook(greffier, Some(&good), body.clone());
        assert!(
            (200..300).contains(&answer.status),
            "{} {}",
            answer.status,
            answer.text()
        );
    }
    let get = Answer::of(greffier.request(Method::GET, "/webhooks/livekit")).expect("an answer");
    assert!(matches!(get.status, 404 | 405), "{}", get.status);
    for recording in greffier.recordings("ghost").expect("a list") {
        assert_eq!(recording.packets, 0, "{}", recording.view);
    }
    stage.greffier.expect_healthy();
}

/// Calls that need a right; `{id}` is a recording.
const CALLS: &[(&str, &str)] = &[
    ("GET", "/api/recordings"),
    ("POST", "/api/recordings"),
    ("GET", "/api/recordings/{id}"),
    ("DELETE", "/api/recordings/{id}"),
    ("POST", "/api/recordings/{id}/stop"),
    ("POST", "/api/recordings/{id}/pause"),
    ("POST", "/api/recordings/{id}/resume"),
    ("GET", "/api/recordings/{id}/tracks"),
    ("GET", "/api/recordings/{id}/events"),
    ("GET", "/api/recordings/{id}/participants"),
    ("GET", "/api/recordings/{id}/segments"),
    ("GET", "/api/recordings/{id}/renders"),
    ("POST", "/api/recordings/{id}/renders"),
    ("GET", "/api/recordings/{id}/files"),
    ("GET", "/api/recordings/{id}/timeline"),
    ("GET", "/api/recordings/{id}/segments/0/file"),
];

#[test]
fn wrong_tokens_open_nothing() {
    // What is refused is counted, and further attempts are turned away unseen: here, that would hide the reason.
    let Some(mut stage) = need(Stage::start(|greffier| {
        greffier.set("api.limits.failures_per_minute", "0")
    })) else {
        return;
    };
    let recording = a_recording(&stage, "private");
    let server = &stage.server;
    let mut bare = claims(server, 300.0);
    bare["video"] = json!({ "roomJoin": true, "room": "private" });
    let mut elsewhere = claims(server, 300.0);
    elsewhere["video"] = json!({ "roomAdmin": true, "room": "another room" });
    let mut stranger = claims(server, 300.0);
    stranger["iss"] = "another key".into();
    let tokens = [
        ("nobody", None),
        ("a word", Some("hello".to_owned())),
        (
            "an API key of nobody",
            Some("gk_01J00000000000000000000000_secret".to_owned()),
        ),
        (
            "another secret",
            Some(jwt("a secret of somebody else, long enough", &claims(server, 300.0))),
        ),
        ("expired", Some(jwt(server.api_secret(), &claims(server, -3600.0)))),
        ("another key", Some(jwt(server.api_secret(), &stranger))),
        ("a participant", Some(jwt(server.api_secret(), &bare))),
        ("an admin of another room", Some(jwt(server.api_secret(), &elsewhere))),
    ];
    let good = jwt(server.api_secret(), &claims(server, 300.0));
    let request = stage.greffier.request(Method::GET, "/api/recordings").bearer_auth(good);
    let answer = Answer::of(request).expect("an answer");
    assert_eq!(
        answer.status,
        200,
        "the others are refused for what is wrong with them: {}",
        answer.text()
    );
    for (who, token) in &tokens {
        for (method, path) in CALLS {
            let list = *path == "/api/recordings";
            let path = path.replace("{id}", &recording.id);
            let mut request = stage.greffier.request(method.parse().expect("a method"), &path);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            if *method == "POST" {
                let renders = path.ends_with("/renders");
                request = request.json(&if renders {
                    json!({ "kind": "tracks" })
                } else {
                    json!({ "room": "private" })
                });
            }
            let answer = Answer::of(request).expect("an answer");
            // Who may see some recordings gets a list without this one, and may not know that there is such a one.
            let empty_list = *method == "GET" && list && answer.status == 200 && !answer.text().contains(&recording.id);
            assert!(
                matches!(answer.status, 401 | 403 | 404) || empty_list,
                "{who}: {method} {path}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
    let after = stage.greffier.recording(&recording.id).expect("it is still there");
    assert_eq!(after.state, recording.state);
    stage.greffier.expect_healthy();
}

/// A short meeting, recorded and sealed.
#[track_caller]
fn a_recording(stage: &Stage, room: &str) -> Recording {
    Plan::new(room)
        .peer("ana", |p| {
            p.at(0.5)
                .join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(5.5)
                .leave()
        })
        .run(&stage.server)
        .expect("a meeting");
    stage.sealed(room).expect("sealed")
}

#[test]
fn hostile_names_are_names_and_nothing_else() {
    let Some(mut stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    // Asked for over the API: no such room, or no such name.
    let room = "r".repeat(1 << 20);
    let too_long = stage.greffier.post("/api/recordings", &json!({ "room": room }));
    // It may hang up in the middle of it, too.
    assert!(too_long.is_err() || too_long.is_ok_and(|answer| answer.status == 413));
    for room in [
        "",
        "../../etc/passwd",
        "..",
        "a\u{0}b",
        "line\nbreak",
        "💥🏴‍☠️",
        "<script>alert(1)</script>",
        "'; DROP TABLE recordings; --",
        &"r".repeat(1 << 16),
    ] {
        let answer = stage
            .greffier
            .post("/api/recordings", &json!({ "room": room }))
            .expect("an answer");
        let shown: String = room.chars().take(40).collect();
        assert!(
            (400..500).contains(&answer.status),
            "{shown}: {} {}",
            answer.status,
            answer.text()
        );
        if answer.status != 413 {
            answer.clone().expect_problem(answer.status);
        }
    }
    for body in [
        json!(null),
        json!([]),
        json!({}),
        json!({ "room": 7 }),
        json!({ "room": "x", "rom": "y" }),
    ] {
        let answer = stage.greffier.post("/api/recordings", &body).expect("an answer");
        assert!((400..500).contains(&answer.status), "{body}: {}", answer.text());
    }
    for id in [
        "rec_",
        "rec_nothing",
        "..%2f..%2fetc%2fpasswd",
        "%00",
        "💥",
        "rec_01J00000000000000000000000",
    ] {
        let answer = stage.greffier.get(&format!("/api/recordings/{id}")).expect("an answer");
        assert!(
            matches!(answer.status, 400 | 404 | 422),
            "{id}: {} {}",
            answer.status,
            answer.text()
        );
    }
    // And met in a room that is really called so, by people who are.
    let (room, evil, party) = ("../../../greffier-escape ☕", "../../../../evil", "💥/🎉");
    let script = |p: greffier_tests::Script| p.at(0.5).join().publish(Microphone::opus().dtx(false)).at(11.5).leave();
    let truth = Plan::new(room)
        .peer(evil, script)
        .peer(party, script)
        .run(&stage.server)
        .expect("a meeting");
    let recording = stage.sealed(room).expect("sealed");
    assert_eq!(recording.room, room);
    let copies = stage.copies(&recording).expect("copies");
    assert_eq!(copies.names().len(), 2);
    for name in copies.names() {
        assert!(
            name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)),
            "{name}"
        );
    }
    assert!(copies.names().contains(&"evil.ogg"), "{:?}", copies.names());
    copies
        .of("evil.ogg", truth.peer(evil))
        .expect("a file")
        .expect_perfect();
    // The harness's own notes of the room are in a folder called `room-…`.
    for entry in std::fs::read_dir(stage.greffier.folder().path()).expect("a folder") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let ours = name.starts_with("room-");
        assert!(
            ours || !(name.contains("escape") || name.contains("evil")),
            "{name} got out"
        );
    }
    stage.greffier.expect_check_clean();
    stage.greffier.expect_healthy();
}

#[test]
fn ranges_are_given_as_asked_or_refused() {
    let Some(stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    let recording = a_recording(&stage, "ranges");
    let copies = stage.copies(&recording).expect("copies");
    let file = copies
        .files
        .iter()
        .find(|file| file.name == "ana.webm")
        .expect("a file");
    let whole = stage.greffier.get(&file.url).expect("an answer").expect(200);
    let total = whole.body.len();
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let etag = whole.header("etag").to_owned();
    assert!(!etag.is_empty());
    let ask = |headers: &[(&str, &str)]| {
        let grants = stage.server.token_with(
            "tester",
            livekit_api::access_token::VideoGrants {
                room_record: true,
                room_admin: true,
                ..Default::default()
            },
        );
        let mut request = stage
            .greffier
            .request(Method::GET, &file.url)
            .bearer_auth(grants.expect("a token"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request).expect("an answer")
    };
    for (range, from, to) in [
        ("bytes=0-99".to_owned(), 0, 99),
        (format!("bytes={}-", total - 10), total - 10, total - 1),
        ("bytes=-100".to_owned(), total - 100, total - 1),
        (format!("bytes=5-{}", total * 2), 5, total - 1),
        ("bytes=0-0".to_owned(), 0, 0),
    ] {
        let part = ask(&[("range", &range)]).expect(206);
        assert_eq!(
            part.header("content-range"),
            format!("bytes {from}-{to}/{total}"),
            "{range}"
        );
        assert_eq!(part.body, whole.body[from..=to], "{range}");
    }
    for range in [
        format!("bytes={total}-"),
        "bytes=-0".to_owned(),
        format!("bytes={}-", u64::MAX),
    ] {
        let refused = ask(&[("range", &range)]).expect(416);
        assert_eq!(refused.header("content-range"), format!("bytes */{total}"), "{range}");
    }
    // What is no range is ignored or refused (RFC 9110, section 14.2), never an error of ours.
    for range in [
        "bytes=",
        "bytes=9-5",
        "bytes=a-b",
        "lines=1-2",
        "bytes=0-1,2-3,-5",
        "bytes=--1",
        "bytes=1-99999999999999999999",
    ] {
        let answer = ask(&[("range", range)]);
        assert!(
            matches!(answer.status, 200 | 206 | 400 | 416),
            "{range}: {}",
            answer.status
        );
    }
    let many = format!(
        "bytes={}",
        (0..5000).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(",")
    );
    let answer = ask(&[("range", &many)]);
    assert!(
        matches!(answer.status, 200 | 206 | 400 | 416 | 431),
        "{}",
        answer.status
    );
    assert!(answer.body.len() <= total + (1 << 20));
    ask(&[("if-none-match", &etag)]).expect(304);
    assert_eq!(
        ask(&[(RANGE.as_str(), "bytes=0-9"), ("if-range", &etag)])
            .expect(206)
            .body
            .len(),
        10
    );
    assert_eq!(
        ask(&[(RANGE.as_str(), "bytes=0-9"), ("if-range", "\"another\"")])
            .expect(200)
            .body
            .len(),
        total
    );
}

#[test]
fn requests_that_are_no_http_hurt_nobody() {
    let Some(mut stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    let address = stage.greffier.url().trim_start_matches("http://").to_owned();
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20));
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/recordings HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/recordings HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /api/recordings?limit=-1&cursor=%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        long_path.as_bytes(),
    ] {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
        // It may hang up in the middle; that is an answer, too.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let line = String::from_utf8_lossy(&answer)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        assert!(!line.contains(" 500 ") && !line.contains(" 200 "), "{line}");
    }
    for query in [
        "limit=0",
        "limit=-1",
        "limit=99999999999",
        "limit=x",
        "cursor=%00",
        "cursor=x",
        "state=nothing",
        "since=yesterday",
    ] {
        let answer = stage
            .greffier
            .get(&format!("/api/recordings?{query}"))
            .expect("an answer");
        assert!(answer.status < 500, "{query}: {} {}", answer.status, answer.text());
    }
    stage.greffier.expect_healthy();
}

#[test]
fn damaged_journals_are_found_and_what_is_whole_is_read() {
    let Some(mut stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    let recording = a_recording(&stage, "damaged");
    stage.copies(&recording).expect("copies");
    stage.greffier.stop().expect("it ends");
    stage.greffier.expect_check_clean();
    let journal = stage
        .greffier
        .data()
        .join("recordings")
        .join(&recording.id)
        .join("journal-00000.mcap");
    let whole = std::fs::read(&journal).expect("a journal");
    let output = Folder::of_test().expect("a folder").sub("exported").expect("a folder");
    let length = whole.len();
    let cuts = [0, 1, 7, 8, length / 3, length / 2, length - 9, length - 1];
    let damages = cuts
        .into_iter()
        .map(|cut| (format!("cut at {cut}"), whole[..cut].to_vec()))
        .chain([9, 60, length / 4, length / 2, length - 40].into_iter().map(|at| {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            (format!("a bit flipped at {at}"), flipped)
        }));
    for (what, bytes) in damages {
        std::fs::write(&journal, &bytes).expect("written");
        let check = stage.greffier.run(["check", "--contents"]).expect("it runs");
        println!("{what}: check {}", text_of(&check).lines().next().unwrap_or_default());
        assert_eq!(check.status.code(), Some(2), "{what}: {}", text_of(&check));
        let export = export(&stage.greffier, &recording.id, output.path());
        assert!(
            matches!(export.status.code(), Some(0..=2)),
            "{what}: {}",
            text_of(&export)
        );
        for text in [text_of(&check), text_of(&export)] {
            assert!(!text.contains("panicked"), "{what}: {text}");
        }
    }
    std::fs::write(&journal, &whole).expect("written");
    stage.greffier.expect_check_clean();
    let export = export(&stage.greffier, &recording.id, output.path());
    assert!(export.status.success(), "{}", text_of(&export));
    stage.greffier.expect_no_panic();
}

/// Exports a recording's packets for Wireshark.
fn export(greffier: &Greffier, id: &str, folder: &Path) -> std::process::Output {
    let folder: PathBuf = folder.into();
    let arguments = ["export", id, "--format", "pcap", "--output"].map(PathBuf::from);
    greffier.run(arguments.into_iter().chain([folder])).expect("it runs")
}

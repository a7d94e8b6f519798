//! `start_all.sh`, as somebody runs it who has just cloned this: from nothing to a recorded meeting.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use greffier_tests::folder::repository;
use greffier_tests::greffier::{Answer, Caller, text_of};
use greffier_tests::ports::Ports;
use greffier_tests::stage::wait_for;
use greffier_tests::{Folder, Microphone, Plan, need};
use reqwest::blocking::Client;
use serde_json::json;

const KEY: &str = "startkey";
const SECRET: &str = "the secret of a server that lives for one test only";
const SOON: Duration = Duration::from_secs(20);

/// What the scripts started; stopped with the test, however it ends.
struct Started<'a> {
    folder: &'a Folder,
}

impl Started<'_> {
    fn script(&self, name: &str, arguments: &[&Path]) -> Output {
        Command::new("bash")
            .arg(repository().join("scripts").join(name))
            .args(arguments)
            .env("GREFFIER_RUN", self.folder.join("run"))
            // What the tests build is built already.
            .env("GREFFIER_PROFILE", "dev")
            .current_dir(self.folder.path())
            .output()
            .expect("bash")
    }
}

impl Drop for Started<'_> {
    fn drop(&mut self) {
        self.script("stop_all.sh", &[]);
    }
}

#[test]
fn a_new_user_starts_meets_and_finds_the_recording() {
    let Some(ports) = need(Ports::take()) else { return };
    let folder = Folder::of_test().expect("a folder");
    let (config, livekit) = (folder.join("greffier.toml"), folder.join("livekit.yaml"));
    std::fs::write(&config, greffier_config(&ports, &folder)).expect("written");
    std::fs::write(&livekit, livekit_config(&ports)).expect("written");
    let url = format!("http://127.0.0.1:{}", ports.own());

    let started = Started { folder: &folder };
    let first = started.script("start_all.sh", &[&config, &livekit]);
    assert!(first.status.success(), "{}", text_of(&first));
    let printed = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(printed.contains(&url), "{printed}");
    assert!(
        printed.contains(&format!("ws://127.0.0.1:{}", ports.http())),
        "{printed}"
    );
    let link = link_in(&printed);
    let pids = pids(&folder);
    let second = started.script("start_all.sh", &[&config, &livekit]);
    assert!(second.status.success(), "{}", text_of(&second));
    assert_eq!(self::pids(&folder), pids, "the second start leaves both as they are");
    assert_eq!(link_in(&String::from_utf8_lossy(&second.stdout)), link);

    // The link leads to the page, and opens the installation to whoever has it.
    let client = Client::builder().no_proxy().timeout(SOON).build().expect("a client");
    assert_eq!(Answer::of(client.get(&link)).expect("an answer").status, 200);
    let nobody = Caller::nobody(client, url);
    let camille = nobody.known_by(&nobody.set_up(&link).expect(201));
    let room = json!({ "title": "First meeting", "call_type": "video", "options": { "recording": "auto" } });
    let room = camille.post("/api/livekit/rooms", &room).expect(201).json();
    let name = room["name"].as_str().expect("a name").to_owned();

    let meeting = Plan::new(name.as_str())
        .peer("ana", |p| p.at(0.5).join().publish(Microphone::opus()).at(6.5).leave())
        .peer("ben", |p| p.listens().at(0.5).join().at(6.5).leave())
        .start_with(&folder, |identity| {
            let asked = json!({ "room": name, "identity": identity });
            let given = camille.post("/api/livekit/token", &asked).expect(200).json();
            let field = |field: &str| given[field].as_str().expect("a text").to_owned();
            Ok((field("url"), field("token")))
        })
        .expect("a meeting");
    let truth = meeting.finish().expect("it ends");
    truth
        .peer("ben")
        .heard("ana")
        .expect("heard")
        .against(truth.peer("ana"))
        .expect_all_beeps();

    let path = format!("/api/livekit/rooms/{name}/recordings");
    let sealed = wait_for("the sealed recording", SOON, || {
        let list = camille.get(&path).expect(200).json();
        let items = list["items"].as_array().expect("a list").clone();
        assert!(items.len() <= 1, "{list}");
        Ok(items.into_iter().find(|recording| recording["state"] == "sealed"))
    })
    .expect("sealed");
    assert!(sealed["packets"].as_u64() > Some(100), "{sealed}");

    let stopped = started.script("stop_all.sh", &[]);
    assert!(stopped.status.success(), "{}", text_of(&stopped));
    for pid in pids {
        wait_for("the end of a process", SOON, || {
            Ok((!Path::new("/proc").join(&pid).is_dir()).then_some(()))
        })
        .expect("gone");
    }
    assert!(self::pids(&folder).is_empty());
    let again = started.script("stop_all.sh", &[]);
    assert!(again.status.success(), "stopping twice: {}", text_of(&again));
}

fn greffier_config(ports: &Ports, folder: &Folder) -> String {
    let data = folder.join("data");
    format!(
        "[livekit]\nurl = \"ws://127.0.0.1:{}\"\napi_key = \"{KEY}\"\napi_secret = \"{SECRET}\"\n\
         [api]\nlisten = \"127.0.0.1:{}\"\n\
         [store]\ndata_dir = \"{}\"\nmin_free_bytes = 1000000\nmin_free_percent = 0\n\
         [recording]\nempty_timeout = \"2s\"\n",
        ports.http(),
        ports.own(),
        data.display(),
    )
}

fn livekit_config(ports: &Ports) -> String {
    let (first, last) = ports.udp();
    format!(
        "port: {}\nbind_addresses:\n  - 127.0.0.1\n\
         rtc:\n  port_range_start: {first}\n  port_range_end: {last}\n  tcp_port: {}\n  use_external_ip: false\n  \
         node_ip: 127.0.0.1\n  enable_loopback_candidate: true\n  ips:\n    includes:\n      - 127.0.0.1/32\n  \
         stun_servers:\n    - 127.0.0.1:{}\n\
         keys:\n  {KEY}: {SECRET}\n\
         webhook:\n  api_key: {KEY}\n  urls:\n    - http://127.0.0.1:{}/webhooks/livekit\n",
        ports.http(),
        ports.tcp(),
        ports.silent(),
        ports.own(),
    )
}

/// The link for the administrator, among what was printed.
#[track_caller]
fn link_in(printed: &str) -> String {
    let link = printed.split_whitespace().find(|word| word.contains("token="));
    link.unwrap_or_else(|| panic!("no link in {printed}")).to_owned()
}

/// Process ids that the scripts wrote down.
fn pids(folder: &Folder) -> Vec<String> {
    let mut pids = Vec::new();
    for name in ["greffier", "livekit-server"] {
        if let Ok(pid) = std::fs::read_to_string(folder.join(format!("run/{name}.pid"))) {
            pids.push(pid.trim().to_owned());
        }
    }
    pids
}

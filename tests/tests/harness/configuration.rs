//! `livekit.yaml` and the scripts around it are what the documents say.

use std::process::{Command, Output};

use greffier_tests::folder::repository;
use greffier_tests::ports::Ports;
use greffier_tests::{Folder, Missing, Server, need};
use serde_json::{Value, json};

fn development() -> Value {
    let text = std::fs::read_to_string(repository().join("livekit.yaml")).expect("livekit.yaml");
    serde_saphyr::from_str(&text).expect("livekit.yaml is YAML")
}

#[test]
fn the_development_configuration_is_what_the_documents_say() {
    let config = development();
    assert_eq!(config["port"], 7880);
    assert_eq!(config["bind_addresses"], json!(["127.0.0.1"]));
    assert_eq!(config["keys"], json!({ "devkey": "secret" }));
    assert_eq!(
        (&config["rtc"]["port_range_start"], &config["rtc"]["port_range_end"]),
        (&json!(50_000), &json!(60_000))
    );
    assert_eq!(config["rtc"]["tcp_port"], 7881);
    assert_eq!(config["rtc"]["node_ip"], "127.0.0.1");
    assert_eq!(config["room"]["max_participants"], 100);
    assert_eq!(config["room"]["empty_timeout"], 300);
    assert_eq!(config["room"]["auto_create"], true);
    assert_eq!(config["webhook"]["api_key"], "devkey");
    assert_eq!(
        config["webhook"]["urls"],
        json!(["http://127.0.0.1:8000/webhooks/livekit"])
    );
}

#[test]
fn the_server_accepts_the_development_configuration() {
    // All of it except the ports, which may be in use, and the keys, which are the test's own.
    let started = Server::setup().configure(|config| {
        let mut development = development();
        for key in ["port", "keys", "webhook", "prometheus"] {
            development[key] = config[key].clone();
        }
        for key in ["port_range_start", "port_range_end", "tcp_port"] {
            development["rtc"][key] = config["rtc"][key].clone();
        }
        development
            .as_object_mut()
            .expect("an object")
            .retain(|_, value| !value.is_null());
        *config = development;
    });
    let Some(mut server) = need(started.start()) else {
        return;
    };
    assert!(server.service().is_running().expect("its state"));
}

/// Runs one of our scripts with its own folder for process ids and logs.
fn script(name: &str, arguments: &[&str], folder: &Folder) -> Output {
    Command::new("bash")
        .arg(repository().join("scripts").join(name))
        .args(arguments)
        .env("GREFFIER_RUN", folder.path())
        .output()
        .expect("bash is there")
}

#[test]
fn livekit_starts_and_stops_and_both_may_be_said_twice() {
    let folder = Folder::of_test().expect("a folder");
    let ports = Ports::take().expect("ports");
    let mut config = development();
    config["port"] = ports.http().into();
    config["rtc"]["tcp_port"] = ports.tcp().into();
    let file = folder.join("livekit.yaml");
    // JSON is YAML, but the script reads the port from a line of its own.
    config.as_object_mut().expect("an object").remove("port");
    std::fs::write(
        &file,
        format!(
            "port: {}\nrtc: {}\nkeys: {}\n",
            ports.http(),
            config["rtc"],
            config["keys"]
        ),
    )
    .expect("written");
    let file = file.to_str().expect("a path");
    if need(Server::start()).is_none() {
        return;
    }

    let first = script("start_livekit.sh", &[file], &folder);
    assert!(first.status.success(), "{first:?}");
    let id = std::fs::read_to_string(folder.join("livekit-server.pid")).expect("a process id");
    let second = script("start_livekit.sh", &[file], &folder);
    assert!(second.status.success(), "{second:?}");
    assert_eq!(
        std::fs::read_to_string(folder.join("livekit-server.pid")).expect("a process id"),
        id
    );

    let stopped = script("stop_livekit.sh", &[], &folder);
    assert!(stopped.status.success(), "{stopped:?}");
    // Ended, or a zombie where nobody reaps orphans: either way it runs no program any more.
    let program = std::fs::read(format!("/proc/{}/cmdline", id.trim())).unwrap_or_default();
    assert!(program.is_empty(), "it still runs");
    let again = script("stop_livekit.sh", &[], &folder);
    assert!(again.status.success(), "{again:?}");
}

#[test]
fn an_archive_with_another_digest_is_refused() {
    let folder = Folder::of_test().expect("a folder");
    let archive = folder.join("livekit.tar.gz");
    std::fs::write(folder.join("livekit-server"), "#!/bin/sh\n").expect("written");
    let packed = Command::new("tar")
        .args(["--create", "--gzip", "--directory"])
        .arg(folder.path())
        .arg("--file")
        .arg(&archive)
        .arg("livekit-server")
        .status();
    assert!(packed.expect("tar is there").success());
    let unpack = |digest: &str| {
        let script = repository().join("scripts/install/livekit_server.sh");
        let program = format!(
            "source '{}'; work='{}'; unpack_checked '{}' {digest}",
            script.display(),
            folder.sub("unpacked").expect("a folder").path().display(),
            archive.display()
        );
        Command::new("bash")
            .args(["-c", &program])
            .output()
            .expect("bash is there")
    };
    let refused = unpack(&"0".repeat(64));
    assert!(!refused.status.success());
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("not using it"),
        "{refused:?}"
    );
    assert!(!folder.join("unpacked/livekit-server").is_file());

    let digest = Command::new("sha256sum")
        .arg(&archive)
        .output()
        .expect("sha256sum is there");
    let digest = String::from_utf8_lossy(&digest.stdout)
        .split_whitespace()
        .next()
        .expect("a digest")
        .to_owned();
    let taken = unpack(&digest);
    assert!(taken.status.success(), "{taken:?}");
    assert!(folder.join("unpacked/livekit-server").is_file());
}

#[test]
fn the_shell_scripts_are_clean() {
    let Some(mut shellcheck) = need(Missing::tool("shellcheck").map_err(Into::into)) else {
        return;
    };
    let mut scripts = Vec::new();
    for folder in ["scripts", "scripts/install"] {
        for entry in std::fs::read_dir(repository().join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|ending| ending == "sh") {
                scripts.push(path);
            }
        }
    }
    assert!(scripts.len() >= 5, "{scripts:?}");
    // From the top, as the scripts name each other.
    let output = shellcheck
        .current_dir(repository())
        .args(["-x", "-P", "SCRIPTDIR"])
        .args(scripts)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

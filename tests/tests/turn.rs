//! Where nothing but a relay gets through: a room is recorded by way of LiveKit's own TURN server, and nobody sees it in the
//! files.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use greffier_tests::process::Deadline;
use greffier_tests::{Camera, Folder, Microphone, Missing, Plan, Script, Server, Stage, need};
use serde_json::json;

/// Of the test's UDP ports so many, the last ones, are the TURN server's; the rest is for direct paths.
const RELAY_PORTS: u64 = 60;
/// A bot is in the room within a second; a busy machine takes longer.
const RELAYED_WITHIN: Duration = Duration::from_secs(20);
/// LiveKit announces its `turns:` server at this port, whatever it listens on.
const TLS_PORT: u16 = 443;

#[test]
fn a_room_is_recorded_over_udp() {
    let server = Server::setup().tells_greffier().configure(|config| {
        let port = relay(config, Ipv4Addr::LOCALHOST);
        config["turn"]["udp_port"] = port.into();
    });
    let Some(server) = need(server.start()) else { return };
    let Some(mut stage) = need(Stage::around(server, |greffier| greffier.set("livekit.ice", "relay"))) else {
        return;
    };
    recorded(&mut stage, "turn-udp", "turn:127.0.0.1:");
}

#[test]
fn a_room_is_recorded_over_tls() {
    let Some(place) = need(Place::new()) else { return };
    let Place {
        address,
        ca,
        certificate,
        key,
    } = place;
    let server = Server::setup().tells_greffier().configure(move |config| {
        relay(config, address);
        config["turn"]["domain"] = address.to_string().into();
        config["turn"]["tls_port"] = TLS_PORT.into();
        config["turn"]["cert_file"] = certificate.display().to_string().into();
        config["turn"]["key_file"] = key.display().to_string().into();
    });
    let Some(server) = need(server.start()) else { return };
    let started = Stage::around(server, |greffier| {
        greffier
            .set("livekit.ice", "relay")
            .set("livekit.turn_ca", ca.display())
    });
    let Some(mut stage) = need(started) else { return };
    recorded(&mut stage, "turn-tls", &format!("turns:{address}:{TLS_PORT}"));
}

/// A server that nobody certifies is none, and the log says so.
#[test]
fn a_certificate_of_a_stranger_is_refused() {
    let Some(place) = need(Place::new()) else { return };
    let Place {
        address,
        certificate,
        key,
        ..
    } = place;
    let server = Server::setup().tells_greffier().configure(move |config| {
        relay(config, address);
        config["turn"]["domain"] = address.to_string().into();
        config["turn"]["tls_port"] = TLS_PORT.into();
        config["turn"]["cert_file"] = certificate.display().to_string().into();
        config["turn"]["key_file"] = key.display().to_string().into();
    });
    let Some(server) = need(server.start()) else { return };
    let Some(mut stage) = need(Stage::around(server, |greffier| greffier.set("livekit.ice", "relay"))) else {
        return;
    };
    let meeting = Plan::new("turn-stranger")
        .peer("ana", |p| p.at(0.5).join().publish(Microphone::opus()).at(12.5).leave())
        .start(&stage.server)
        .expect("a meeting");
    let wanted = |line: &str| line.contains("no relay") && line.contains("UnknownIssuer");
    let deadline = Deadline::within(RELAYED_WITHIN);
    stage
        .greffier
        .service()
        .wait_for_line("the refusal", deadline, wanted)
        .expect("told");
    meeting.finish().expect("the meeting ends");
    stage.greffier.expect_no_panic();
}

/// Who can reach the server directly does so, whatever relays there are.
#[test]
fn a_direct_path_comes_first() {
    let server = Server::setup().tells_greffier().configure(|config| {
        let port = relay(config, Ipv4Addr::LOCALHOST);
        config["turn"]["udp_port"] = port.into();
    });
    let Some(server) = need(server.start()) else { return };
    let Some(mut stage) = need(Stage::around(server, |greffier| greffier)) else {
        return;
    };
    let meeting = Plan::new("turn-direct")
        .peer("ana", |p| p.at(0.5).join().publish(Microphone::opus()).at(8.5).leave())
        .start(&stage.server)
        .expect("a meeting");
    assert_eq!(way_of_the_recorder(&mut stage), "udp");
    meeting.finish().expect("the meeting ends");
}

/// Records a meeting with nothing but the relay, and looks at what came of it.
fn recorded(stage: &mut Stage, room: &str, url: &str) {
    let script = |p: Script| {
        p.at(0.5)
            .join()
            .publish(Camera::vp8().size(640, 360).max_bitrate(1_500_000))
            .publish(Microphone::opus())
            .at(15.5)
            .leave()
    };
    let meeting = Plan::new(room)
        .peer("ana", script)
        .peer("ben", script)
        .start(&stage.server)
        .expect("a meeting");
    let deadline = Deadline::within(RELAYED_WITHIN);
    let wanted = |line: &str| line.contains(url) && line.contains(" relays ");
    stage
        .greffier
        .service()
        .wait_for_line("a relay", deadline, wanted)
        .expect("a relay");
    // LiveKit tells a relayed path by its address, and one that is seen from another address is none to it.
    if url.starts_with("turn:") {
        assert_eq!(way_of_the_recorder(stage), "turn");
    }
    let truth = meeting.finish().expect("the meeting ends");
    let recording = stage.sealed(room).expect("sealed");
    let copies = stage.copies(&recording).expect("copies");
    for identity in ["ana", "ben"] {
        let copy = copies
            .of(&format!("{identity}.webm"), truth.peer(identity))
            .expect("a file");
        copy.verdict
            .expect_all_beeps()
            .expect_all_flashes()
            .expect_no_freeze()
            .expect_nobody_else();
        copy.expect_in_step();
    }
    stage.greffier.expect_no_panic();
}

/// How LiveKit says that the recorder is connected.
fn way_of_the_recorder(stage: &mut Stage) -> String {
    let deadline = Deadline::within(RELAYED_WITHIN);
    let recorder = |line: &str| line.contains("participant active") && line.contains("greffier");
    let line = stage
        .server
        .service()
        .wait_for_line("the recorder", deadline, recorder)
        .expect("active");
    let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    said["connectionType"].as_str().unwrap_or_default().to_ascii_lowercase()
}

/// A TURN server that listens at this address; a UDP port that is left over for it. Media stays at 127.0.0.1: LiveKit has
/// candidates only for addresses that an interface lists.
fn relay(config: &mut serde_json::Value, address: Ipv4Addr) -> u64 {
    let last = config["rtc"]["port_range_end"].as_u64().expect("a range");
    let first = last - RELAY_PORTS;
    config["rtc"]["port_range_end"] = (first - 1).into();
    config["turn"] = json!({
        "enabled": true,
        "bind_addresses": [address.to_string()],
        "relay_range_start": first + 1,
        "relay_range_end": last,
        // What a test has is loopback, which no relay on the internet should lead to.
        "allow_restricted_peer_cidrs": ["127.0.0.0/8"],
    });
    first
}

/// A loopback address of the test's own, for the port that cannot be chosen, and who says that it is ours.
struct Place {
    address: Ipv4Addr,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Place {
    fn new() -> Result<Self> {
        let address = free_address()?;
        let folder = Folder::of_test()?;
        let (ca, ca_key) = (folder.join("ca.pem"), folder.join("ca.key"));
        let (certificate, key) = (folder.join("turn.pem"), folder.join("turn.key"));
        certify(
            &ca,
            &ca_key,
            &["-subj", "/CN=test CA", "-addext", "keyUsage=critical,keyCertSign"],
        )?;
        let name = format!("subjectAltName=IP:{address}");
        let (by, by_key) = (ca.display().to_string(), ca_key.display().to_string());
        let leaf = [
            "-subj",
            "/CN=turn",
            "-addext",
            &name,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ];
        certify(
            &certificate,
            &key,
            &[&leaf[..], &["-CA", &by, "-CAkey", &by_key]].concat(),
        )?;
        Ok(Self {
            address,
            ca,
            certificate,
            key,
        })
    }
}

/// Makes a key and a certificate for it.
fn certify(certificate: &Path, key: &Path, more: &[&str]) -> Result<()> {
    let mut openssl: Command = Missing::tool("openssl")?;
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]);
    openssl
        .args(["-days", "2", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(certificate);
    let output = openssl.args(more).output().context("cannot run openssl")?;
    ensure!(
        output.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Tests run beside each other, and port 443 is wanted by each.
fn free_address() -> Result<Ipv4Addr> {
    static TRIED: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    loop {
        let n = TRIED.fetch_add(1, Ordering::Relaxed);
        ensure!(n < u8::MAX, "no address whose port {TLS_PORT} is free");
        let address = Ipv4Addr::new(127, 64 + high % 64, low, n);
        match TcpListener::bind((address, TLS_PORT)) {
            Ok(_) => return Ok(address),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => {
                let what = format!("port {TLS_PORT} of {address} ({error})");
                return Err(Missing::new(what, "run as root").into());
            }
        }
    }
}

//! The lossy network loses as many packets as it is told to, and people can meet across it.

use std::net::UdpSocket;
use std::time::Duration;

use greffier_tests::process::Speaker;
use greffier_tests::{Camera, Deadline, Direction, Folder, Microphone, Network, Plan, Server, need};

/// Datagrams sent each way.
const DATAGRAMS: u32 = 10_000;
/// Losing 3 % of 10,000 has a standard deviation of 0.17 %; five of them happen once in 1.7 million runs.
const CHANCE_PERCENT: f64 = 0.85;
/// A pause in the echoes after which the next are sent.
const PAUSE: Duration = Duration::from_millis(15);
const SOON: Duration = Duration::from_secs(20);

/// Counts datagrams, sends each back; tells how many when told to.
const ECHO: &str = r#"
import json, select, socket, sys
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
echo.bind((sys.argv[1], 0))
print(json.dumps({"event": "ready", "port": echo.getsockname()[1]}), flush=True)
heard = 0
while True:
    for source in select.select([echo, sys.stdin], [], [])[0]:
        if source is echo:
            data, sender = echo.recvfrom(2048)
            heard += 1
            echo.sendto(data, sender)
        elif not sys.stdin.readline():
            sys.exit()
        else:
            print(json.dumps({"event": "heard", "count": heard}), flush=True)
"#;

#[test]
fn it_loses_what_it_is_told_to() {
    let Some(network) = need(Network::new()) else { return };
    let folder = Folder::of_test().expect("a folder");
    let mut command = need(network.command("python3")).expect("the network was there");
    command.args(["-c", ECHO, &network.inner_address().to_string()]);
    let mut echo = Speaker::start("echo", &command, folder.path()).expect("it starts");
    let ready = echo
        .wait("its port", 0, Deadline::within(SOON), |fact| fact["event"] == "ready")
        .expect("a port");
    let port = u16::try_from(ready["port"].as_u64().expect("a number")).expect("a port");
    let socket = UdpSocket::bind((network.address(), 0)).expect("a socket");
    socket.connect((network.inner_address(), port)).expect("an address");
    socket.set_read_timeout(Some(PAUSE)).expect("a limit");

    let mut returned = 0;
    for (down, up) in [(0.0, 0.0), (3.0, 0.0), (5.0, 3.0)] {
        network.lose(Direction::Down, down).expect("rules");
        network.lose(Direction::Up, up).expect("rules");
        let before = count(&mut echo);
        send_all(&socket, &mut returned);

        // The counters tell the truth: what they did not drop arrives, if not at once on a busy machine.
        let deadline = Deadline::within(SOON);
        let (lost_down, lost_up, heard) = loop {
            while socket.recv(&mut [0; 16]).is_ok() {
                returned += 1;
            }
            let lost = |direction| network.loss(direction).expect("counters");
            let (lost_down, lost_up) = (lost(Direction::Down), lost(Direction::Up));
            let heard = count(&mut echo) - before;
            let all_there = lost_down.seen - lost_down.dropped == heard
                && lost_up.seen == heard
                && lost_up.seen - lost_up.dropped == returned;
            if all_there || deadline.has_passed() {
                break (lost_down, lost_up, heard);
            }
        };
        assert_eq!(lost_down.seen, u64::from(DATAGRAMS));
        assert_eq!(lost_down.seen - lost_down.dropped, heard);
        assert_eq!(lost_up.seen, heard);
        assert_eq!(lost_up.seen - lost_up.dropped, returned);
        returned = 0;
        for (asked, lost) in [(down, lost_down), (up, lost_up)] {
            let tolerance = if asked == 0.0 { 0.0 } else { CHANCE_PERCENT };
            assert!(
                (lost.percent() - asked).abs() <= tolerance,
                "{asked} % asked, {:.2} % lost",
                lost.percent()
            );
        }
    }
}

/// How many datagrams the echo has heard so far.
fn count(echo: &mut Speaker) -> u64 {
    let said = echo.said().len();
    echo.tell(&serde_json::json!("count")).expect("it listens");
    let fact = echo
        .wait("its count", said, Deadline::within(SOON), |fact| {
            fact["event"] == "heard"
        })
        .expect("a count");
    fact["count"].as_u64().expect("a number")
}

/// Sends all datagrams, a few at a time so that no buffer overflows, and counts what comes back meanwhile.
fn send_all(socket: &UdpSocket, returned: &mut u64) {
    const AT_ONCE: u32 = 50;
    for batch in 0..DATAGRAMS / AT_ONCE {
        for n in 0..AT_ONCE {
            socket.send(&(batch * AT_ONCE + n).to_be_bytes()).expect("sent");
        }
        // Until all have come back, or nothing more comes for a while: the rest is lost, or late.
        let mut of_batch = 0;
        while of_batch < AT_ONCE && socket.recv(&mut [0; 16]).is_ok() {
            of_batch += 1;
        }
        *returned += u64::from(of_batch);
    }
}

#[test]
fn people_meet_across_it() {
    let Some(network) = need(Network::losing(3.0)) else {
        return;
    };
    let Some(server) = need(Server::setup().address(network.address()).start()) else {
        return;
    };
    let truth = Plan::new("lossy")
        .peer("ana", |p| {
            p.join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(9.5)
                .leave()
        })
        .peer("ben", |p| p.behind(&network).listens().join().at(9.5).leave())
        .run(&server)
        .expect("a meeting");
    let loss = network.loss(Direction::Down).expect("counters");
    assert!(loss.seen > 200, "media came through the network: {loss:?}");
    // libwebrtc repairs and conceals: a lost packet may cost a beep its shape, hardly two.
    let verdict = truth
        .peer("ben")
        .heard("ana")
        .expect("heard")
        .against(truth.peer("ana"));
    let beeps = verdict.beeps.as_ref().expect("sound");
    assert!(beeps.expected.len() >= 5 && beeps.missing.len() <= 1, "{verdict}");
}

#[test]
fn a_network_is_gone_when_it_is_dropped() {
    let Some(network) = need(Network::new()) else { return };
    let clone = network.clone();
    let inside = |network: &Network| {
        network
            .command("true")
            .expect("ip is there")
            .status()
            .expect("it runs")
            .success()
    };
    drop(network);
    assert!(inside(&clone), "a clone keeps it");
    let address = clone.address();
    drop(clone);
    assert!(UdpSocket::bind((address, 0)).is_err(), "its address is gone");
}

#[test]
fn peers_of_other_tests_leave_it_alone() {
    let Some(network) = need(Network::new()) else { return };
    let Some(mut server) = need(Server::start()) else {
        return;
    };
    Plan::new("elsewhere")
        .peer("ana", |p| p.join().at(2.5).leave())
        .run(&server)
        .expect("a meeting");
    let log = std::fs::read_to_string(server.service().log_file()).expect("the server's log");
    assert!(log.contains("[selected:"), "the server tells the candidates");
    assert!(
        !log.contains(&network.address().to_string()),
        "somebody went through a network that will be gone"
    );
}

//! A server starts, crashes, comes back, and tells of itself by webhooks.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use greffier_tests::{Deadline, Microphone, Plan, Server, Udp, need};

#[test]
fn a_crashed_server_comes_back_on_the_same_ports() {
    let Some(mut server) = need(Server::start()) else {
        return;
    };
    let (url, first) = (server.url(), server.service().id());
    server.crash().expect("it can be killed");
    assert!(!server.service().is_running().expect("its state"));
    assert!(
        TcpStream::connect(("127.0.0.1", server.ports().http())).is_err(),
        "nobody listens any more"
    );

    server.restart().expect("it starts again");
    assert_eq!(server.url(), url);
    assert_ne!(server.service().id(), first);
    assert!(server.restart().is_err(), "it runs already");

    // People can meet on the new one as they could on the old one.
    let truth = Plan::new("after the crash")
        .peer("ana", |p| p.join().at(1.5).leave())
        .run(&server)
        .expect("a meeting");
    assert_eq!(truth.peer("ana").facts_of("joined").count(), 1);
}

#[test]
fn media_comes_through_a_range_a_mux_or_tcp() {
    for udp in [Udp::Range, Udp::Mux, Udp::Off] {
        let Some(server) = need(Server::setup().udp(udp).start()) else {
            return;
        };
        let truth = Plan::new(format!("{udp:?}"))
            .peer("ana", |p| p.join().publish(Microphone::opus()).at(6.5).leave())
            .peer("ben", |p| p.listens().join().at(6.5).leave())
            .run(&server)
            .expect("a meeting");
        let ana = truth.peer("ana");
        truth
            .peer("ben")
            .heard("ana")
            .expect("heard")
            .against(ana)
            .expect_all_beeps();
    }
}

#[test]
fn webhooks_arrive_signed_with_the_servers_key() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!(
        "http://{}/webhooks/livekit",
        listener.local_addr().expect("its address")
    );
    let Some(server) = need(Server::setup().webhook(url).start()) else {
        return;
    };
    let meeting = Plan::new("told")
        .peer("ana", |p| p.join().at(1.5).leave())
        .start(&server)
        .expect("a meeting");

    let (mut connection, _) = listener.accept().expect("a webhook");
    connection
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a limit");
    let mut request = String::new();
    while !request.contains("room_started") {
        let mut buffer = [0; 4096];
        let read = connection.read(&mut buffer).expect("the request");
        assert!(read > 0, "the first webhook tells something else: {request}");
        request += &String::from_utf8_lossy(&buffer[..read]);
    }
    connection
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .expect("an answer");
    assert!(request.starts_with("POST /webhooks/livekit "), "{request}");

    let header = request
        .lines()
        .find_map(|line| line.strip_prefix("Authorization: "))
        .expect("a signature");
    let verifier = livekit_api::access_token::TokenVerifier::with_api_key(server.api_key(), server.api_secret());
    let claims = verifier.verify(header).expect("signed with the server's key");
    assert!(!claims.sha256.is_empty(), "the signature covers the body");
    meeting.finish().expect("the meeting ends");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let setup = Server::setup().configure(|config| config["port"] = "no port".into());
    let Some(error) = need(match setup.start() {
        Ok(_) => panic!("it cannot start"),
        Err(error) if error.downcast_ref::<greffier_tests::Missing>().is_some() => Err(error),
        Err(error) => Ok(error),
    }) else {
        return;
    };
    let text = format!("{error:#}");
    assert!(
        text.contains("the process ended first") && text.contains("no port"),
        "{text}"
    );
}

#[test]
fn waiting_for_a_line_that_does_not_come_ends() {
    let Some(mut server) = need(Server::start()) else {
        return;
    };
    let deadline = Deadline::within(Duration::from_millis(200));
    let error = server
        .service()
        .wait_for_line("a miracle", deadline, |line| line.contains("miracle"));
    assert!(format!("{:#}", error.expect_err("no miracle")).contains("did not come in time"));
}

//! Across a network that loses packets: what is lost is asked for again, and nobody sees it in the files.

use greffier_tests::{Camera, Direction, Microphone, Network, Plan, Script, Stage, need};

/// Of the lost packets so large a part must have come again: what the product promises.
const REPAIRED: f64 = 0.995;
/// Fewer than this, and a single packet would decide.
const ENOUGH_LOST: u64 = 150;

#[test]
fn three_percent_are_repaired() {
    repaired(3.0);
}

#[test]
fn five_percent_are_repaired() {
    repaired(5.0);
}

/// Joining takes longer where every tenth packet is lost, but whoever is there is recorded, and not over TCP because a check
/// or two of UDP got lost.
#[test]
fn joining_across_a_bad_link_leaves_nobody_out() {
    let Some(network) = need(Network::new()) else { return };
    let Some(stage) = need(Stage::behind(&network, |greffier| greffier)) else {
        return;
    };
    lose_both_ways(&network, 10.0);
    let meeting = Plan::new("bad-link")
        .peer("ana", |p| seen_until(p, 15.5))
        .peer("ben", |p| seen_until(p, 15.5))
        .start(&stage.server)
        .expect("a meeting");
    meeting.wait_until(14.5);
    let lost = network.loss(Direction::Down).expect("counters");
    println!("{lost:?}");
    assert!(lost.seen > 500, "media came another way: {lost:?}");
    lose_both_ways(&network, 0.0);
    meeting.finish().expect("the meeting ends");
    let recording = stage.sealed("bad-link").expect("sealed");
    let copies = stage.copies(&recording).expect("copies");
    assert_eq!(copies.names(), ["ana.webm", "ben.webm"]);
}

fn lose_both_ways(network: &Network, percent: f64) {
    for direction in [Direction::Down, Direction::Up] {
        network.lose(direction, percent).expect("rules");
    }
}

fn seen_until(script: Script, end: f64) -> Script {
    script
        .at(0.5)
        .join()
        .publish(Camera::vp8().size(640, 360).max_bitrate(1_500_000))
        .publish(Microphone::opus())
        .at(end)
        .leave()
}

/// Records a meeting over a link that loses so many percent of the packets, both ways.
#[expect(clippy::print_stdout, reason = "what was measured")]
fn repaired(percent: f64) {
    let Some(network) = need(Network::new()) else { return };
    let Some(stage) = need(Stage::behind(&network, |greffier| greffier)) else {
        return;
    };
    let room = format!("lossy-{percent}");
    let meeting = Plan::new(&room)
        .peer("ana", |p| seen_until(p, 40.5))
        .peer("ben", |p| seen_until(p, 40.5))
        .start(&stage.server)
        .expect("a meeting");
    // Joining is over before it begins: a handshake waits a second for what was lost of it, and this is about media.
    meeting.wait_until(4.0);
    lose_both_ways(&network, percent);
    // Who has left cannot be asked again for what was lost of the last moment; that much must arrive.
    meeting.wait_until(39.5);
    let lost = network.loss(Direction::Down).expect("counters");
    lose_both_ways(&network, 0.0);
    let truth = meeting.finish().expect("the meeting ends");
    let recording = stage.sealed(&room).expect("sealed");
    println!(
        "{:.2} % of {} packets were dropped: {}; {} of {} kept packets are missing",
        lost.percent(),
        lost.seen,
        lost.dropped,
        recording.lost_packets,
        recording.packets
    );
    assert!(lost.dropped >= ENOUGH_LOST, "{lost:?}");
    let repaired = 1.0 - recording.lost_packets as f64 / lost.dropped as f64;
    assert!(repaired >= REPAIRED, "{:.2} % were repaired", repaired * 100.0);

    let copies = stage.copies(&recording).expect("copies");
    for identity in ["ana", "ben"] {
        let copy = copies
            .of(&format!("{identity}.webm"), truth.peer(identity))
            .expect("a file");
        println!("{}", copy.verdict);
        copy.verdict
            .expect_all_beeps()
            .expect_all_flashes()
            .expect_no_freeze()
            .expect_nobody_else();
        copy.expect_in_step();
    }
}

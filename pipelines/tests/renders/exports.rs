//! Packets for other tools, judged by those tools.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, ensure};
use greffier_media::{
    codec::Codec,
    render::{ExportFormat, ExportRequest, RenderRequest, TracksRequest},
};
use greffier_pipelines::{CancelFlag, Job, render};
use greffier_tests::{Missing, judge, need};

use crate::{
    job::{Made, make},
    tape::{Publication, START, Tape, recording},
};

fn export(format: ExportFormat) -> Result<Made> {
    let mut tape = Tape::new();
    let ana = tape.join(0.0, "Ana", 0);
    tape.publish(&ana, &Publication::camera(Codec::Vp8, 0.5, 4.5))?;
    tape.publish(&ana, &Publication::microphone(0.5, 4.5))?;
    let ben = tape.join(0.0, "Ben m=evil", 1);
    tape.publish(&ben, &Publication::camera(Codec::H264, 0.5, 4.5))?;
    tape.stop(5.0);
    make(tape, RenderRequest::Export(ExportRequest { format }))
}

/// Values of fields of each packet, as Wireshark sees them without being told anything.
fn wireshark(path: &Path, fields: &[&str]) -> Result<Vec<Vec<String>>> {
    let mut command = Missing::tool("tshark")?;
    command.arg("-r").arg(path).args(["-T", "fields", "-E", "separator=\t"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text
        .lines()
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect())
}

/// How many packets of each payload type, and of RTCP, a list of `rtp.p_type` and `rtcp.pt` has.
fn kinds(packets: &[Vec<String>]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for packet in packets {
        let kind = match (&*packet[0], &*packet[1]) {
            ("", "") => continue,
            ("", rtcp) => format!("rtcp {rtcp}"),
            (rtp, _) => rtp.to_owned(),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

#[test]
fn wireshark_reads_pcap() {
    need((|| -> Result<()> {
        let made = export(ExportFormat::Pcap)?;
        assert_eq!(made.files[0].media_type, "application/vnd.tcpdump.pcap");
        let packets = wireshark(
            &made.path(),
            &[
                "rtp.p_type",
                "rtcp.pt",
                "ip.src",
                "frame.time_epoch",
                "sdp.media",
                "ip.checksum.status",
            ],
        )?;
        assert_eq!(Some(packets.len() as u64), made.files[0].probe["messages"].as_u64());
        let kinds = kinds(&packets);
        // Four seconds: 50 packets of sound a second, 20 pictures of at least a packet, a report each second.
        assert_eq!(kinds["111"], 200, "{kinds:?}");
        assert!(kinds["96"] >= 80 && kinds["125"] >= 80, "{kinds:?}");
        assert!(kinds["rtcp 200"] >= 12, "{kinds:?}");
        let announced: Vec<_> = packets.iter().filter(|packet| !packet[4].is_empty()).collect();
        assert_eq!(announced.len(), 3, "one announcement for each stream: {announced:?}");
        let unread = packets
            .iter()
            .filter(|packet| packet[0].is_empty() && packet[1].is_empty() && packet[4].is_empty());
        assert_eq!(unread.count(), 0, "Wireshark knows what each packet is");
        let times: Vec<f64> = packets.iter().map(|packet| packet[3].parse().unwrap()).collect();
        assert!(
            times.windows(2).all(|pair| pair[0] <= pair[1]),
            "in the order in which they arrived"
        );
        let addresses: std::collections::BTreeSet<_> = packets.iter().map(|packet| &*packet[2]).collect();
        assert_eq!(addresses.into_iter().collect::<Vec<_>>(), ["10.1.0.1", "10.1.0.2"]);
        let codecs = wireshark(&made.path(), &["sdp.mime.type"])?
            .into_iter()
            .flatten()
            .filter(|codec| !codec.is_empty());
        let mut codecs: Vec<_> = codecs.collect();
        codecs.sort();
        assert_eq!(codecs, ["H264", "VP8", "opus"]);
        Ok(())
    })());
}

/// One packet of a dump: milliseconds from its start, whether it says it is RTP, and the packet.
type Dumped = (u32, bool, Vec<u8>);

/// Reads rtptools' format by what their manual says of it: a line of text, 16 bytes with the start, then packets.
fn read_dump(path: &Path) -> Result<(u32, Vec<Dumped>)> {
    let bytes = std::fs::read(path)?;
    let line = bytes.iter().position(|byte| *byte == b'\n').context("a first line")?;
    let first = std::str::from_utf8(&bytes[..line])?;
    let (address, port) = first
        .strip_prefix("#!rtpplay1.0 ")
        .and_then(|rest| rest.split_once('/'))
        .context("its words")?;
    address.parse::<std::net::Ipv4Addr>()?;
    port.parse::<u16>()?;
    let word = |bytes: &[u8]| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let started = word(&bytes[line + 1..]);
    let mut rest = &bytes[line + 17..];
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        let of_rtp = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let packet = rest[8..length].to_vec();
        ensure!(
            of_rtp == 0 || of_rtp == packet.len(),
            "a cut packet: {of_rtp} of {}",
            packet.len()
        );
        packets.push((word(&rest[4..]), of_rtp > 0, packet));
        rest = &rest[length..];
    }
    Ok((started, packets))
}

#[test]
fn each_stream_is_a_dump() {
    need((|| -> Result<()> {
        let made = export(ExportFormat::Rtpdump)?;
        let mut names: Vec<_> = made.files.iter().map(|file| &*file.name).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "ana.camera.rtpdump",
                "ana.microphone.rtpdump",
                "ben-m-evil.camera.rtpdump"
            ]
        );
        for (file, path) in made.files.iter().zip(made.paths()) {
            let (started, packets) = read_dump(&path)?;
            assert_eq!(i64::from(started), START);
            assert_eq!(
                Some(packets.len() as u64),
                file.probe["messages"].as_u64(),
                "{}",
                file.name
            );
            let kind = if file.name.contains("microphone") {
                111
            } else if file.name.contains("ana") {
                96
            } else {
                125
            };
            for (_, is_rtp, packet) in &packets {
                let (payload_type, ssrc) = if *is_rtp {
                    (packet[1] & 0x7F, &packet[8..12])
                } else {
                    (packet[1], &packet[4..8])
                };
                assert_eq!(payload_type, if *is_rtp { kind } else { 200 });
                assert_eq!(
                    Some(u32::from_be_bytes(ssrc.try_into()?).into()),
                    file.probe["ssrc"].as_u64(),
                    "one stream"
                );
            }
            let reports = packets.iter().filter(|(_, is_rtp, _)| !is_rtp).count();
            assert!((4..=5).contains(&reports), "a report each second: {reports}");
            let times: Vec<_> = packets.iter().map(|(at, ..)| *at).collect();
            assert!(
                times.is_sorted() && (500..600).contains(&times[0]),
                "from {} ms on",
                times[0]
            );
        }
        Ok(())
    })());
}

#[test]
fn a_merged_journal_is_the_same_recording() {
    need((|| -> Result<()> {
        let made = export(ExportFormat::Mcap)?;
        // By its index, as other tools read it.
        let bytes = std::fs::read(made.path())?;
        let summary = mcap::Summary::read(&bytes)?.expect("a summary");
        let statistics = summary.stats.as_ref().expect("statistics");
        assert_eq!(Some(statistics.message_count), made.files[0].probe["messages"].as_u64());
        let topics: Vec<_> = summary.channels.values().map(|channel| &*channel.topic).collect();
        assert_eq!(
            topics.iter().filter(|topic| topic.ends_with("/rtp")).count(),
            3,
            "{topics:?}"
        );
        assert!(topics.contains(&"/room/events"));
        // And rendered, it gives the same files as its segments do.
        let copy = |segments, folder: &str| -> Result<_> {
            let folder = made.path().with_file_name(folder);
            let request = RenderRequest::Tracks(TracksRequest::default());
            let job = Job {
                recording: recording(),
                segments,
                request,
                folder: folder.clone(),
            };
            let rendered = render(&job, |_| (), &CancelFlag::default())?;
            let read = |file: &greffier_pipelines::RenderedFile| {
                Ok((file.name.clone(), std::fs::read(folder.join(&file.name))?))
            };
            rendered.files.iter().map(read).collect::<Result<Vec<_>>>()
        };
        let merged = copy(vec![made.path()], "merged")?;
        assert_eq!(merged.len(), 2);
        assert!(
            merged == copy(made.tape.segments.clone(), "segments")?,
            "another recording"
        );
        judge(made.path().with_file_name("merged").join("ana.webm"))?
            .against(made.tape.truth("ana"))
            .expect_all_beeps();
        Ok(())
    })());
}

//! Journals written, cut, flipped, mended and read in part.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{channel::tests::microphone, *};
use crate::{
    ErrorKind,
    ids::TrackSid,
    time::{Arrival, WallTime},
};

/// A small journal: three tracks and events, flushed between chunks of the given numbers of packets.
fn journal(chunks: &[u16]) -> Vec<u8> {
    write_journal(Vec::new(), chunks).0
}

/// Writes a journal and answers what `finish` did, with the file's length after each flush.
fn write_journal<W: Write + Len>(file: W, chunks: &[u16]) -> (W, SegmentSummary, Vec<u64>) {
    let lens = Arc::new(Mutex::new(Vec::new()));
    let mut writer = SegmentWriter::new(Counted {
        file,
        lens: lens.clone(),
    })
    .unwrap();
    let mut arrival = 1_760_000_000_000_000_000;
    for (index, packets) in chunks.iter().enumerate() {
        let tracks: Vec<_> = (0..3).map(|n| writer.add_rtp(&track(n)).unwrap()).collect();
        let reports = writer.add_rtcp(&track(0)).unwrap();
        for packet in 0..*packets {
            arrival += 1_234_567;
            let at = Arrival::from_nanos(arrival);
            let data = [index as u8, packet as u8].repeat(usize::from(packet % 50) + 1);
            writer
                .write(
                    tracks[usize::from(packet) % 3],
                    at,
                    Some(WallTime::from_nanos(arrival - 30)),
                    &data,
                )
                .unwrap();
            if packet % 4 == 0 {
                writer.write(reports, at, None, b"a sender report").unwrap();
                writer.write_room(at, &RoomEvent::Reconnecting).unwrap();
            }
        }
        writer.flush().unwrap();
    }
    let (counted, summary) = writer.finish().unwrap();
    let lens = lens.lock().unwrap().clone();
    (counted.file, summary, lens)
}

fn track(n: u32) -> TrackChannel {
    TrackChannel {
        track: TrackSid::new(&format!("TR_{n}")).unwrap(),
        ssrc: n,
        ..microphone()
    }
}

trait Len {
    fn len(&self) -> u64;
}

impl Len for Vec<u8> {
    fn len(&self) -> u64 {
        Vec::len(self) as u64
    }
}

/// Notes the length at each flush.
struct Counted<W> {
    file: W,
    lens: Arc<Mutex<Vec<u64>>>,
}

impl<W: Write + Len> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lens.lock().unwrap().push(self.file.len());
        self.file.flush()
    }
}

type Read = (Vec<Chunk>, Tail);

fn read(bytes: &[u8]) -> Read {
    let mut reader = SegmentReader::new(bytes);
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next_chunk().unwrap() {
        chunks.push(chunk);
    }
    (chunks, reader.tail().cloned().unwrap())
}

fn messages(chunks: &[Chunk]) -> Vec<Message> {
    chunks.iter().flat_map(Chunk::messages).collect()
}

#[test]
fn what_is_written_is_read() {
    let (chunks, tail) = read(&journal(&[9, 1, 30]));
    assert_eq!(tail, Tail::Complete);
    assert_eq!(chunks.len(), 3);
    let messages = messages(&chunks);
    assert_eq!(messages.len(), (9 + 2 * 3) + (1 + 2) + (30 + 2 * 8));

    let first = &messages[0];
    assert_eq!(first.channel.topic, Topic::Rtp(track(0).track));
    assert_eq!(first.channel.track, Some(track(0)));
    assert_eq!(first.data, Bytes::from_static(&[0, 0]));
    assert_eq!(first.sent, Some(WallTime::from_nanos(first.arrival.as_nanos() - 30)));

    let event = messages
        .iter()
        .find(|message| message.channel.topic == Topic::Events)
        .unwrap();
    assert_eq!(
        serde_json::from_slice::<RoomEvent>(&event.data).unwrap(),
        RoomEvent::Reconnecting
    );
    assert_eq!(event.sent, None);
}

#[test]
fn messages_count_up_on_each_channel() {
    let (chunks, _) = read(&journal(&[9, 1, 30]));
    let mut next = std::collections::HashMap::new();
    for message in messages(&chunks) {
        let next = next.entry(message.channel.id).or_insert(0);
        assert_eq!(message.sequence, *next);
        *next += 1;
    }
}

#[test]
fn other_tools_read_it_too() {
    let bytes = journal(&[9, 1, 30]);
    let theirs: Vec<_> = mcap::MessageStream::new(&bytes)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let ours = messages(&read(&bytes).0);
    assert_eq!(theirs.len(), ours.len());
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert_eq!(theirs.channel.topic, ours.channel.topic.to_string());
        assert_eq!(
            (theirs.log_time, theirs.data.as_ref()),
            (ours.arrival.as_nanos(), ours.data.as_ref())
        );
    }
    let summary = mcap::Summary::read(&bytes).unwrap().unwrap();
    assert_eq!(summary.stats.unwrap().message_count, ours.len() as u64);
    assert_eq!(summary.chunk_indexes.len(), 3);
}

/// The file may only grow: invariant 5.
#[test]
fn bytes_are_handed_over_once_and_in_order() {
    /// Takes a few bytes at a time, and remembers how much it had been given when.
    #[derive(Default)]
    struct Dribbling(Vec<u8>, Vec<Vec<u8>>);
    impl Write for Dribbling {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(100);
            self.0.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> io::Result<()> {
            self.1.push(self.0.clone());
            Ok(())
        }
    }
    impl Len for Dribbling {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }
    }
    let (Dribbling(file, after_each_flush), ..) = write_journal(Dribbling::default(), &[5, 80, 3]);
    assert_eq!(file, journal(&[5, 80, 3]));
    assert_eq!(after_each_flush.len(), 4, "three flushes and the end");
    for (flushes, bytes) in after_each_flush.iter().enumerate().take(3) {
        assert!(file.starts_with(bytes));
        let (chunks, tail) = read(bytes);
        assert_eq!(chunks.len(), flushes + 1, "all that was flushed is readable");
        assert_eq!(
            tail,
            Tail::Truncated {
                valid_bytes: bytes.len() as u64
            }
        );
    }
}

#[test]
fn nothing_is_written_between_flushes_or_on_drop() {
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let file = Shared::default();
    let len = || file.0.lock().unwrap().len();
    let mut writer = SegmentWriter::new(file.clone()).unwrap();
    let channel = writer.add_rtp(&track(0)).unwrap();
    writer.write(channel, Arrival::from_millis(1), None, b"packet").unwrap();
    assert_eq!((len(), writer.unflushed_bytes()), (0, 6));
    writer.flush().unwrap();
    let flushed = len();
    assert!(flushed > 0 && writer.unflushed_bytes() == 0);
    writer.flush().unwrap();
    assert_eq!(len(), flushed, "an empty flush writes nothing");
    writer.write(channel, Arrival::from_millis(2), None, b"lost").unwrap();
    drop(writer);
    assert_eq!(len(), flushed);
}

#[test]
fn a_full_disk_loses_nothing_once_there_is_room() {
    /// Has room for so many bytes.
    struct Disk {
        file: Vec<u8>,
        room: Arc<Mutex<usize>>,
    }
    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut room = self.room.lock().unwrap();
            if *room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(*room);
            *room -= taken;
            self.file.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let room = Arc::new(Mutex::new(100));
    let mut writer = SegmentWriter::new(Disk {
        file: Vec::new(),
        room: room.clone(),
    })
    .unwrap();
    let channel = writer.add_rtp(&track(0)).unwrap();
    for second in 0..3 {
        writer
            .write(channel, Arrival::from_millis(second), None, &[7; 500])
            .unwrap();
        let error = writer.flush().unwrap_err();
        assert!(matches!(&error, WriteError::Io(source) if source.kind() == io::ErrorKind::StorageFull));
        assert_eq!(error.kind(), ErrorKind::Io);
    }
    *room.lock().unwrap() = 1 << 20;
    writer.flush().unwrap();
    let (disk, _) = writer.finish().unwrap();
    let (chunks, tail) = read(&disk.file);
    assert_eq!((messages(&chunks).len(), tail), (3, Tail::Complete));
}

#[test]
fn a_channel_is_the_same_until_something_changes() {
    let mut writer = SegmentWriter::new(Vec::new()).unwrap();
    let first = writer.add_rtp(&track(0)).unwrap();
    assert_eq!(writer.add_rtp(&track(0)).unwrap(), first);
    let republished = TrackChannel { ssrc: 99, ..track(0) };
    let second = writer.add_rtp(&republished).unwrap();
    assert_ne!(first, second);
    writer.write(first, Arrival::from_millis(1), None, b"a").unwrap();
    writer.write(second, Arrival::from_millis(2), None, b"b").unwrap();
    let (bytes, summary) = writer.finish().unwrap();
    let messages = messages(&read(&bytes).0);
    assert_eq!(messages[0].channel.topic, messages[1].channel.topic);
    assert_eq!(messages[1].channel.track.as_ref().unwrap().ssrc, 99);
    assert_eq!(summary.channels().count(), 2);
}

#[test]
fn a_channel_of_another_segment_is_refused() {
    let channel = SegmentWriter::new(Vec::new()).unwrap().add_rtp(&track(0)).unwrap();
    let error = SegmentWriter::new(Vec::new())
        .unwrap()
        .write(channel, Arrival::ZERO, None, b"x")
        .unwrap_err();
    assert!(matches!(error, WriteError::UnknownChannel(_)));
}

#[test]
fn a_part_is_read_without_the_rest() {
    let (bytes, written, _) = write_journal(Vec::new(), &[9, 1, 30]);
    let len = bytes.len() as u64;
    assert_eq!(
        SegmentSummary::read(&bytes[bytes.len() - 50..], len).unwrap(),
        SummaryRead::NeedFrom(summary_start(&bytes))
    );
    let from = summary_start(&bytes) as usize;
    let SummaryRead::Done(summary) = SegmentSummary::read(&bytes[from..], len).unwrap() else {
        panic!("all was given")
    };
    assert_eq!(summary, written);
    assert_eq!(SegmentSummary::read(&bytes, len).unwrap(), SummaryRead::Done(written));
    assert_eq!(summary.messages(), 64);

    let (chunks, _) = read(&bytes);
    let (start, end) = chunks[1].span().unwrap();
    let range = start..end.saturating_add(std::time::Duration::from_nanos(1));
    let found: Vec<_> = summary
        .chunks(range.clone(), |channel| channel.topic == Topic::Events)
        .collect();
    let [info] = found[..] else { panic!("{found:?}") };
    let part = bytes[info.offset as usize..(info.offset + info.length) as usize].to_vec();
    let chunk = summary.decode(info, &part.into()).unwrap();
    assert!(chunk.messages().eq(chunks[1].messages()));

    let on_third_track = |channel: &Channel| channel.topic.track() == Some(&track(2).track);
    assert_eq!(
        summary.chunks(range, on_third_track).count(),
        0,
        "the middle chunk has one packet, of the first track"
    );
    assert_eq!(summary.span().unwrap().0, chunks[0].span().unwrap().0);
    assert_eq!(summary.span().unwrap().1, chunks[2].span().unwrap().1);
}

fn summary_start(bytes: &[u8]) -> u64 {
    mcap::read::footer(bytes).unwrap().summary_start
}

#[test]
fn a_segment_without_a_summary_says_so() {
    let bytes = journal(&[3]);
    for unfinished in [&bytes[..bytes.len() - 1], &bytes[..100], &[]] {
        let error = SegmentSummary::read(unfinished, unfinished.len() as u64).unwrap_err();
        assert!(matches!(error, ReadError::Unfinished), "{error}");
    }
}

#[test]
fn mended_is_as_if_finished() {
    let (bytes, summary, lens) = write_journal(Vec::new(), &[9, 1, 30]);
    let at_last_flush = lens[2] as usize;
    let recovery = recover(&bytes[..at_last_flush]).unwrap();
    assert_eq!(recovery.valid_bytes, at_last_flush as u64);
    assert_eq!([&bytes[..at_last_flush], &recovery.ending].concat(), bytes);
    assert_eq!(recovery.summary, summary);

    let whole = recover(&bytes[..]).unwrap();
    assert_eq!((whole.tail, whole.ending.len()), (Tail::Complete, 0));
    assert_eq!((whole.valid_bytes, whole.summary), (bytes.len() as u64, summary));
}

#[test]
fn an_empty_file_becomes_an_empty_segment() {
    let recovery = recover(&[][..]).unwrap();
    assert_eq!(recovery.tail, Tail::Truncated { valid_bytes: 0 });
    let (empty, _) = SegmentWriter::new(Vec::new()).unwrap().finish().unwrap();
    assert_eq!(recovery.ending, empty);
    assert_eq!(read(&recovery.ending), read(&empty));
}

impl PartialEq for Chunk {
    fn eq(&self, other: &Self) -> bool {
        self.offset == other.offset && self.messages().eq(other.messages())
    }
}

/// Where each chunk's record ends.
fn chunk_ends(bytes: &[u8]) -> Vec<usize> {
    read(bytes)
        .0
        .iter()
        .map(|chunk| (chunk.offset + chunk.length) as usize)
        .collect()
}

#[test]
fn cut_at_every_byte() {
    let bytes = journal(&[2, 1, 4]);
    let (chunks, _) = read(&bytes);
    let ends = chunk_ends(&bytes);
    for cut in 0..bytes.len() {
        let (found, tail) = read(&bytes[..cut]);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(found, chunks[..whole], "cut at {cut}");
        assert!(matches!(tail, Tail::Truncated { .. }), "cut at {cut}: {tail:?}");

        let recovery = recover(&bytes[..cut]).unwrap();
        let mended = [&bytes[..recovery.valid_bytes as usize], &recovery.ending].concat();
        assert_eq!(read(&mended), (found, Tail::Complete), "mended after a cut at {cut}");
        assert!(
            mcap::MessageStream::new(&mended)
                .unwrap()
                .all(|message| message.is_ok())
        );
        let len = mended.len() as u64;
        assert_eq!(
            SegmentSummary::read(&mended, len).unwrap(),
            SummaryRead::Done(recovery.summary)
        );
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let bytes = journal(&[2, 1, 4]);
    let (chunks, _) = read(&bytes);
    let ends = chunk_ends(&bytes);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (found, tail) = read(&flipped);
        assert!(tail != Tail::Complete, "bit {bit}");
        let before = ends.iter().filter(|end| **end <= bit / 8).count();
        let all_before_and_maybe_more = found.len() >= before && found == chunks[..found.len()];
        assert!(
            all_before_and_maybe_more,
            "bit {bit}: {} chunks of {before}",
            found.len()
        );
    }
}

/// A segment whose framing and checksums are right, with one chunk of these records.
fn segment_with(records: &[u8], first_arrival: u64) -> Vec<u8> {
    let (empty, _) = SegmentWriter::new(Vec::new()).unwrap().finish().unwrap();
    let header_len = u64::from_le_bytes(*empty[9..].first_chunk().unwrap()) as usize;
    let mut bytes = empty[..8 + 9 + header_len].to_vec();
    let len = records.len() as u64;
    bytes.push(6);
    for field in [40 + len, first_arrival, first_arrival, len] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(crc32fast::hash(records).to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(len.to_le_bytes());
    bytes.extend(records);
    bytes
}

/// A record: opcode, length, body.
fn record(opcode: u8, body: &[u8]) -> Vec<u8> {
    [&[opcode][..], &(body.len() as u64).to_le_bytes(), body].concat()
}

fn damage_of(records: &[u8]) -> Damage {
    match read(&segment_with(records, 0)) {
        (chunks, Tail::Corrupt { damage, .. }) => {
            assert!(chunks.is_empty());
            damage
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_chunk_with_a_good_checksum_may_still_be_nonsense() {
    // Found by fuzzing: MCAP's parser panics on an attachment shorter than its checksum.
    assert_eq!(damage_of(&record(9, &[0; 33])), Damage::UnexpectedRecord(9));
    assert_eq!(damage_of(&record(5, &[0; 22])), Damage::UnknownChannel(0));
    assert_eq!(damage_of(&record(5, &[0; 21])), Damage::Record);
    assert_eq!(damage_of(&[5, 255, 255, 255, 255, 255, 255, 255, 255]), Damage::Record);
    assert_eq!(damage_of(&[4]), Damage::Record);
    let channel = |topic: &str| {
        let text = |text: &str| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        record(4, &[&[7, 0, 0, 0][..], &text(topic), &text("rtp"), &[0; 4]].concat())
    };
    assert!(matches!(
        damage_of(&channel("/track/TR_x/rtp")),
        Damage::Channel(ChannelError::MissingKey(_))
    ));
    assert_eq!(
        damage_of(&[channel("/a"), channel("/b")].concat()),
        Damage::ConflictingChannel(7)
    );
    let message = record(5, &[&[7, 0][..], &[0; 20], b"data"].concat());
    let (chunks, tail) = read(&segment_with(&[channel("/a"), message].concat(), 0));
    assert!(matches!(tail, Tail::Truncated { .. }));
    let [message] = &messages(&chunks)[..] else { panic!() };
    assert_eq!(
        (&message.channel.topic, &message.data[..]),
        (&Topic::Other("/a".into()), &b"data"[..])
    );
}

#[test]
fn a_chunk_with_bytes_behind_its_records_is_damaged() {
    let mut bytes = segment_with(&[], 0);
    let at = bytes.len() - 40 - 8;
    bytes[at] += 1;
    bytes.push(0);
    assert!(matches!(
        read(&bytes).1,
        Tail::Corrupt {
            damage: Damage::ChunkHeader,
            ..
        }
    ));
}

proptest! {
    #[test]
    fn any_journal_cut_anywhere_gives_the_chunks_before_the_cut(
        sizes in vec(0..60_u16, 0..8),
        cut in any::<Index>(),
    ) {
        let bytes = journal(&sizes);
        let (chunks, tail) = read(&bytes);
        prop_assert_eq!(tail, Tail::Complete);
        let cut = cut.index(bytes.len());
        let (found, tail) = read(&bytes[..cut]);
        let ends = chunk_ends(&bytes);
        prop_assert_eq!(&found[..], &chunks[..ends.iter().filter(|end| **end <= cut).count()]);
        let Tail::Truncated { valid_bytes } = tail else { panic!("{tail:?}") };
        prop_assert!(valid_bytes as usize <= cut);
        let again = read(&bytes[..valid_bytes as usize]);
        prop_assert_eq!(again, (found, Tail::Truncated { valid_bytes }));
    }

    #[test]
    fn noise_is_never_taken_for_messages(
        sizes in vec(1..20_u16, 1..5),
        noise in vec(any::<u8>(), 1..200),
        at in any::<Index>(),
    ) {
        let bytes = journal(&sizes);
        let (chunks, _) = read(&bytes);
        let at = at.index(bytes.len());
        let mut damaged = bytes.clone();
        let end = (at + noise.len()).min(bytes.len());
        damaged[at..end].copy_from_slice(&noise[..end - at]);
        let (found, _) = read(&damaged);
        prop_assert_eq!(&found[..], &chunks[..found.len()]);
        prop_assert!(found.len() >= chunk_ends(&bytes).iter().filter(|end| **end <= at).count());
        let _ = recover(&damaged[..]).unwrap();
        let _ = SegmentSummary::read(&damaged, damaged.len() as u64);
    }

    #[test]
    fn anything_at_all_is_read_without_panic(bytes in vec(any::<u8>(), 0..500)) {
        let _ = read(&bytes);
        let _ = SegmentSummary::read(&bytes, bytes.len() as u64);
    }
}

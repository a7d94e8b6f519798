//! One file for each stream in the "dump" format of rtptools, as `rtpplay` and recent Wiresharks read it.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
};

use greffier_media::{
    journal::{Message, Topic, TrackChannel},
    time::Arrival,
};

use super::{Exported, Exporter};
use crate::{
    names::{Names, slug},
    publish::Draft,
};

/// The first line; address and port are where it was received: nowhere in particular.
const FIRST_LINE: &[u8] = b"#!rtpplay1.0 0.0.0.0/0\n";
/// The header after it.
const HEADER: usize = 16;
/// Before each packet: two lengths and a time.
const PACKET_HEADER: usize = 8;

pub(super) struct Rtpdump {
    folder: PathBuf,
    started: Arrival,
    names: Names,
    files: Vec<Dump>,
    streams: HashMap<TrackChannel, usize>,
}

struct Dump {
    track: TrackChannel,
    draft: Draft,
    out: BufWriter<File>,
    packets: u64,
}

impl Rtpdump {
    /// Times count from `started`.
    pub fn new(folder: &Path, started: Arrival) -> Self {
        Self {
            folder: folder.to_owned(),
            started,
            names: Names::default(),
            files: Vec::new(),
            streams: HashMap::new(),
        }
    }

    fn open(&mut self, track: &TrackChannel) -> io::Result<Dump> {
        let source = track.source.as_str().replace('_', "-");
        let name = self
            .names
            .unique(&format!("{}.{source}", slug(track.identity.as_str())));
        let draft = Draft::new(&self.folder, &format!("{name}.rtpdump"));
        let mut out = BufWriter::new(File::create(draft.path())?);
        out.write_all(FIRST_LINE)?;
        let nanos = self.started.as_nanos();
        for word in [nanos / 1_000_000_000, nanos % 1_000_000_000 / 1000, 0, 0] {
            out.write_all(&u32::try_from(word).unwrap_or(u32::MAX).to_be_bytes())?;
        }
        Ok(Dump {
            track: track.clone(),
            draft,
            out,
            packets: 0,
        })
    }
}

impl Exporter for Rtpdump {
    fn message(&mut self, message: &Message) -> io::Result<()> {
        let Some(track) = &message.channel.track else {
            return Ok(());
        };
        let stream = if let Some(known) = self.streams.get(track) {
            *known
        } else {
            let dump = self.open(track)?;
            self.files.push(dump);
            let stream = self.files.len() - 1;
            self.streams.insert(track.clone(), stream);
            stream
        };
        let Ok(length) = u16::try_from(message.data.len() + PACKET_HEADER) else {
            return Ok(());
        };
        let millis = message.arrival.saturating_since(self.started).as_millis();
        // RTCP is told by a length of zero.
        let is_rtcp = matches!(message.channel.topic, Topic::Rtcp(_));
        let packet = if is_rtcp { 0 } else { length - 8 };
        let dump = &mut self.files[stream];
        dump.out.write_all(&length.to_be_bytes())?;
        dump.out.write_all(&packet.to_be_bytes())?;
        dump.out
            .write_all(&u32::try_from(millis).unwrap_or(u32::MAX).to_be_bytes())?;
        dump.packets += 1;
        dump.out.write_all(&message.data)
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<Exported>> {
        let close = |mut dump: Dump| {
            dump.out.flush()?;
            Ok(Exported {
                draft: dump.draft,
                media_type: "application/octet-stream",
                messages: dump.packets,
                track: Some(dump.track),
            })
        };
        self.files.into_iter().map(close).collect()
    }

    fn count(&self) -> fn(&Path) -> io::Result<u64> {
        |path| {
            let mut file = BufReader::new(File::open(path)?);
            file.read_until(b'\n', &mut Vec::new())?;
            file.read_exact(&mut [0; HEADER])?;
            let (mut count, mut header) = (0, [0; PACKET_HEADER]);
            while file.read(&mut header[..1])? == 1 {
                file.read_exact(&mut header[1..])?;
                let rest = u64::from(u16::from_be_bytes([header[0], header[1]])).saturating_sub(PACKET_HEADER as u64);
                if io::copy(&mut file.by_ref().take(rest), &mut io::sink())? != rest {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                count += 1;
            }
            Ok(count)
        }
    }
}

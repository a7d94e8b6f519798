//! WebM and Matroska ([RFC 9559](https://www.rfc-editor.org/rfc/rfc9559)).
//!
//! ```text
//! EBML · Segment { SeekHead · Info · Tracks · Tags · Cues · Cluster · Cluster … }
//! ```
//! Room for the cues is left before the first cluster, so that players can seek without looking at the end; length,
//! duration and cues are filled in when the file is complete.

use std::{
    fs::File,
    io::{self, BufWriter, Seek as _, SeekFrom, Write as _},
    path::Path,
    time::Duration,
};

use greffier_media::codec::MediaKind;

use super::{Format, Muxer, Sample, Tags, Track, WRITER, ebml, h264, nanos, opus_head, ticks, unsupported};

mod id {
    pub(super) const EBML: u32 = 0x1A45_DFA3;
    pub(super) const EBML_VERSION: u32 = 0x4286;
    pub(super) const EBML_READ_VERSION: u32 = 0x42F7;
    pub(super) const EBML_MAX_ID_LENGTH: u32 = 0x42F2;
    pub(super) const EBML_MAX_SIZE_LENGTH: u32 = 0x42F3;
    pub(super) const DOC_TYPE: u32 = 0x4282;
    pub(super) const DOC_TYPE_VERSION: u32 = 0x4287;
    pub(super) const DOC_TYPE_READ_VERSION: u32 = 0x4285;
    pub(super) const SEGMENT: u32 = 0x1853_8067;
    pub(super) const SEEK_HEAD: u32 = 0x114D_9B74;
    pub(super) const SEEK: u32 = 0x4DBB;
    pub(super) const SEEK_ID: u32 = 0x53AB;
    pub(super) const SEEK_POSITION: u32 = 0x53AC;
    pub(super) const INFO: u32 = 0x1549_A966;
    pub(super) const TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
    pub(super) const DURATION: u32 = 0x4489;
    pub(super) const DATE_UTC: u32 = 0x4461;
    pub(super) const TITLE: u32 = 0x7BA9;
    pub(super) const MUXING_APP: u32 = 0x4D80;
    pub(super) const WRITING_APP: u32 = 0x5741;
    pub(super) const TRACKS: u32 = 0x1654_AE6B;
    pub(super) const TRACK_ENTRY: u32 = 0xAE;
    pub(super) const TRACK_NUMBER: u32 = 0xD7;
    pub(super) const TRACK_UID: u32 = 0x73C5;
    pub(super) const TRACK_TYPE: u32 = 0x83;
    pub(super) const FLAG_DEFAULT: u32 = 0x88;
    pub(super) const FLAG_LACING: u32 = 0x9C;
    pub(super) const LANGUAGE: u32 = 0x22_B59C;
    pub(super) const NAME: u32 = 0x536E;
    pub(super) const CODEC_ID: u32 = 0x86;
    pub(super) const CODEC_PRIVATE: u32 = 0x63A2;
    pub(super) const CODEC_DELAY: u32 = 0x56AA;
    pub(super) const SEEK_PRE_ROLL: u32 = 0x56BB;
    pub(super) const VIDEO: u32 = 0xE0;
    pub(super) const PIXEL_WIDTH: u32 = 0xB0;
    pub(super) const PIXEL_HEIGHT: u32 = 0xBA;
    pub(super) const AUDIO: u32 = 0xE1;
    pub(super) const SAMPLING_FREQUENCY: u32 = 0xB5;
    pub(super) const CHANNELS: u32 = 0x9F;
    pub(super) const TAGS: u32 = 0x1254_C367;
    pub(super) const TAG: u32 = 0x7373;
    pub(super) const TARGETS: u32 = 0x63C0;
    pub(super) const TARGET_TYPE_VALUE: u32 = 0x68CA;
    pub(super) const SIMPLE_TAG: u32 = 0x67C8;
    pub(super) const TAG_NAME: u32 = 0x45A3;
    pub(super) const TAG_STRING: u32 = 0x4487;
    pub(super) const CLUSTER: u32 = 0x1F43_B675;
    pub(super) const TIMESTAMP: u32 = 0xE7;
    pub(super) const SIMPLE_BLOCK: u32 = 0xA3;
    pub(super) const CUES: u32 = 0x1C53_BB6B;
    pub(super) const CUE_POINT: u32 = 0xBB;
    pub(super) const CUE_TIME: u32 = 0xB3;
    pub(super) const CUE_TRACK_POSITIONS: u32 = 0xB7;
    pub(super) const CUE_TRACK: u32 = 0xF7;
    pub(super) const CUE_CLUSTER_POSITION: u32 = 0xF1;
}

/// Block times are milliseconds.
const MILLIS: u32 = 1000;
/// A cluster ends after this, in ms and in bytes: what a player must read to find a block.
const CLUSTER_MILLIS: u64 = 5_000;
const CLUSTER_BYTES: usize = 2 * 1024 * 1024;
/// No two cues of a track are closer, in ms.
const CUE_SPACING: u64 = 500;
/// A cue point takes at most so many bytes.
const CUE_LEN: usize = 32;
/// Decoders of Opus need 80 ms to settle (RFC 7845 §4.6), in nanoseconds.
const OPUS_PRE_ROLL: u64 = 80_000_000;
/// Dates count nanoseconds since 2001.
const EPOCH: i64 = 978_307_200_000_000_000;

pub(super) struct Matroska {
    out: BufWriter<File>,
    /// Bytes written.
    at: u64,
    /// Where the segment's contents begin: positions count from there.
    segment: u64,
    fixups: Fixups,
    tracks: Vec<Format>,
    cluster: Option<Cluster>,
    cues: Vec<Cue>,
    /// End of the last frame, in ms.
    end: u64,
}

/// Places in the file to be filled in at the end.
#[derive(Default)]
struct Fixups {
    seek_head: u64,
    info: u64,
    duration: u64,
    tracks: u64,
    tags: u64,
    cues: u64,
    reserved: usize,
}

struct Cluster {
    start: u64,
    blocks: Vec<u8>,
}

struct Cue {
    time: u64,
    track: usize,
    cluster: u64,
}

impl Matroska {
    pub fn create(path: &Path, doc_type: &str, tracks: Vec<Track>, tags: &Tags, cues: usize) -> io::Result<Self> {
        let mut head = Vec::new();
        ebml::master(&mut head, id::EBML, |out| {
            for (id, value) in [
                (id::EBML_VERSION, 1),
                (id::EBML_READ_VERSION, 1),
                (id::EBML_MAX_ID_LENGTH, 4),
                (id::EBML_MAX_SIZE_LENGTH, 8),
            ] {
                ebml::uint(out, id, value);
            }
            ebml::text(out, id::DOC_TYPE, doc_type);
            ebml::uint(out, id::DOC_TYPE_VERSION, 4);
            ebml::uint(out, id::DOC_TYPE_READ_VERSION, 2);
        });
        ebml::write_id(&mut head, id::SEGMENT);
        ebml::wide_size(&mut head, 0);
        let segment = head.len() as u64;
        let mut fixups = Fixups {
            reserved: (cues + 1) * CUE_LEN,
            ..Fixups::default()
        };
        fixups.seek_head = segment;
        head.extend(fixups.seek_head());
        fixups.info = head.len() as u64 - segment;
        head.extend(info(tags));
        // The duration is the last of the information: eight bytes.
        fixups.duration = head.len() as u64 - 8;
        fixups.tracks = head.len() as u64 - segment;
        ebml::master(&mut head, id::TRACKS, |out| {
            for (number, track) in (1..).zip(&tracks) {
                track_entry(out, number, track);
            }
        });
        fixups.tags = head.len() as u64 - segment;
        head.extend(tag_elements(tags));
        fixups.cues = head.len() as u64 - segment;
        head.extend(ebml::void(fixups.reserved));
        let mut out = BufWriter::with_capacity(256 * 1024, File::create(path)?);
        out.write_all(&head)?;
        let tracks: Vec<_> = tracks.into_iter().map(|track| track.format).collect();
        Ok(Self {
            out,
            at: head.len() as u64,
            segment,
            fixups,
            tracks,
            cluster: None,
            cues: Vec::new(),
            end: 0,
        })
    }

    /// Whether a frame opens a cluster, and must be found by players that seek.
    fn opens_cluster(&self, track: usize, time: u64, keyframe: bool) -> bool {
        let Some(cluster) = &self.cluster else { return true };
        let starts_video = keyframe && self.tracks[track].kind() == MediaKind::Video;
        // Blocks tell their time by 16 bits, from the cluster's.
        let reach = u64::from(i16::MAX.unsigned_abs());
        starts_video
            || time > cluster.start + CLUSTER_MILLIS
            || time + reach < cluster.start
            || cluster.blocks.len() > CLUSTER_BYTES
    }

    fn close_cluster(&mut self) -> io::Result<()> {
        let Some(cluster) = self.cluster.take() else {
            return Ok(());
        };
        let mut head = Vec::new();
        ebml::uint(&mut head, id::TIMESTAMP, cluster.start);
        let mut open = Vec::new();
        ebml::write_id(&mut open, id::CLUSTER);
        ebml::size(&mut open, (head.len() + cluster.blocks.len()) as u64);
        open.extend(head);
        self.out.write_all(&open)?;
        self.out.write_all(&cluster.blocks)?;
        self.at += (open.len() + cluster.blocks.len()) as u64;
        Ok(())
    }

    /// Files without pictures are sought by their sound.
    fn wants_cue(&self, track: usize, time: u64) -> bool {
        let has_video = self.tracks.iter().any(|track| track.kind() == MediaKind::Video);
        let kind = if has_video { MediaKind::Video } else { MediaKind::Audio };
        let last = self.cues.iter().rev().find(|cue| cue.track == track);
        self.tracks[track].kind() == kind && last.is_none_or(|last| time >= last.time + CUE_SPACING)
    }

    fn write_cues(&mut self) -> io::Result<()> {
        let mut cues = Vec::new();
        ebml::master(&mut cues, id::CUES, |out| {
            for cue in &self.cues {
                ebml::master(out, id::CUE_POINT, |out| {
                    ebml::uint(out, id::CUE_TIME, cue.time);
                    ebml::master(out, id::CUE_TRACK_POSITIONS, |out| {
                        ebml::uint(out, id::CUE_TRACK, cue.track as u64 + 1);
                        ebml::uint(out, id::CUE_CLUSTER_POSITION, cue.cluster);
                    });
                });
            }
        });
        if self.cues.is_empty() {
            return Ok(());
        }
        if cues.len() + 2 <= self.fixups.reserved {
            cues.extend(ebml::void(self.fixups.reserved - cues.len()));
            self.out.seek(SeekFrom::Start(self.segment + self.fixups.cues))?;
        } else {
            // More than was announced: they stand at the end, where the seek head finds them.
            self.fixups.cues = self.at - self.segment;
            self.at += cues.len() as u64;
        }
        self.out.write_all(&cues)
    }
}

impl Muxer for Matroska {
    fn write(&mut self, track: usize, sample: Sample) -> io::Result<()> {
        let time = ticks(sample.at, MILLIS);
        self.end = self.end.max(ticks(sample.at + sample.lasts, MILLIS));
        if self.opens_cluster(track, time, sample.keyframe) {
            self.close_cluster()?;
            self.cluster = Some(Cluster {
                start: time,
                blocks: Vec::new(),
            });
        }
        if sample.keyframe && self.wants_cue(track, time) {
            self.cues.push(Cue {
                time,
                track,
                cluster: self.at - self.segment,
            });
        }
        let Some(cluster) = &mut self.cluster else {
            return Ok(());
        };
        let data = match &self.tracks[track] {
            Format::H264 { .. } => h264::with_lengths(&sample.data),
            _ => sample.data,
        };
        let relative = i16::try_from(time.cast_signed() - cluster.start.cast_signed())
            .map_err(|_| unsupported("frames are too far out of order"))?;
        ebml::write_id(&mut cluster.blocks, id::SIMPLE_BLOCK);
        ebml::size(&mut cluster.blocks, data.len() as u64 + 4);
        let number = u8::try_from(track + 1).ok().filter(|number| *number < 127);
        let number = number.ok_or_else(|| unsupported("a file of more than 126 tracks"))?;
        cluster.blocks.push(0x80 | number);
        cluster.blocks.extend(relative.to_be_bytes());
        cluster.blocks.push(if sample.keyframe { 0x80 } else { 0 });
        cluster.blocks.extend_from_slice(&data);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.close_cluster()?;
        self.write_cues()?;
        let mut size = Vec::new();
        ebml::wide_size(&mut size, self.at - self.segment);
        let duration = self.end as f64;
        let fixes = [
            (self.segment - 8, size),
            (self.fixups.seek_head, self.fixups.seek_head()),
            (self.fixups.duration, duration.to_be_bytes().to_vec()),
        ];
        for (at, bytes) in fixes {
            self.out.seek(SeekFrom::Start(at))?;
            self.out.write_all(&bytes)?;
        }
        self.out.flush()
    }
}

impl Fixups {
    /// Always as long as this: positions are eight bytes each.
    fn seek_head(&self) -> Vec<u8> {
        let mut out = Vec::new();
        ebml::master(&mut out, id::SEEK_HEAD, |out| {
            for (id, position) in [
                (id::INFO, self.info),
                (id::TRACKS, self.tracks),
                (id::TAGS, self.tags),
                (id::CUES, self.cues),
            ] {
                ebml::master(out, id::SEEK, |out| {
                    ebml::element(out, id::SEEK_ID, &id.to_be_bytes());
                    ebml::wide_uint(out, id::SEEK_POSITION, position);
                });
            }
        });
        out
    }
}

fn info(tags: &Tags) -> Vec<u8> {
    let mut out = Vec::new();
    ebml::master(&mut out, id::INFO, |out| {
        ebml::uint(out, id::TIMESTAMP_SCALE, 1_000_000_000 / u64::from(MILLIS));
        let date = i64::try_from(tags.unix_nanos).unwrap_or(i64::MAX) - EPOCH;
        ebml::element(out, id::DATE_UTC, &date.to_be_bytes());
        ebml::text(out, id::TITLE, &tags.title);
        ebml::text(out, id::MUXING_APP, WRITER);
        ebml::text(out, id::WRITING_APP, WRITER);
        ebml::float(out, id::DURATION, 0.0);
    });
    out
}

fn track_entry(out: &mut Vec<u8>, number: u64, track: &Track) {
    let format = &track.format;
    ebml::master(out, id::TRACK_ENTRY, |out| {
        ebml::uint(out, id::TRACK_NUMBER, number);
        ebml::uint(out, id::TRACK_UID, number);
        ebml::uint(
            out,
            id::TRACK_TYPE,
            if format.kind() == MediaKind::Video { 1 } else { 2 },
        );
        ebml::uint(out, id::FLAG_DEFAULT, 1);
        ebml::uint(out, id::FLAG_LACING, 0);
        ebml::text(out, id::LANGUAGE, "und");
        if !track.name.is_empty() {
            ebml::text(out, id::NAME, &track.name);
        }
        ebml::text(out, id::CODEC_ID, codec_id(format));
        let private = match format {
            Format::Vp8 { .. } | Format::Vp9 { .. } => Vec::new(),
            Format::Av1 { config, .. } | Format::Aac { config, .. } => config.to_vec(),
            Format::H264 { first, .. } => first.record(),
            Format::Opus { channels, pre_skip } => opus_head(*channels, *pre_skip),
        };
        if !private.is_empty() {
            ebml::element(out, id::CODEC_PRIVATE, &private);
        }
        if let Format::Opus { pre_skip, .. } = format {
            let delay = Duration::from_secs(u64::from(*pre_skip)) / crate::sound::RATE;
            ebml::uint(out, id::CODEC_DELAY, nanos(delay));
            ebml::uint(out, id::SEEK_PRE_ROLL, OPUS_PRE_ROLL);
        }
        if let Some(dims) = format.dims() {
            ebml::master(out, id::VIDEO, |out| {
                ebml::uint(out, id::PIXEL_WIDTH, dims.width.into());
                ebml::uint(out, id::PIXEL_HEIGHT, dims.height.into());
            });
        }
        if let Format::Opus { channels, .. } | Format::Aac { channels, .. } = format {
            let rate = if let Format::Aac { rate, .. } = format {
                *rate
            } else {
                crate::sound::RATE
            };
            ebml::master(out, id::AUDIO, |out| {
                ebml::float(out, id::SAMPLING_FREQUENCY, rate.into());
                ebml::uint(out, id::CHANNELS, (*channels).into());
            });
        }
    });
}

fn codec_id(format: &Format) -> &'static str {
    match format {
        Format::Vp8 { .. } => "V_VP8",
        Format::Vp9 { .. } => "V_VP9",
        Format::Av1 { .. } => "V_AV1",
        Format::H264 { .. } => "V_MPEG4/ISO/AVC",
        Format::Opus { .. } => "A_OPUS",
        Format::Aac { .. } => "A_AAC",
    }
}

fn tag_elements(tags: &Tags) -> Vec<u8> {
    /// What the tags are of: the whole file.
    const THE_WHOLE: u64 = 50;
    let named = [
        ("TITLE", &tags.title),
        ("ARTIST", &tags.artist),
        ("DATE_RECORDED", &tags.date),
    ];
    let facts = tags.facts.iter().map(|(name, value)| (*name, value));
    let mut out = Vec::new();
    ebml::master(&mut out, id::TAGS, |out| {
        ebml::master(out, id::TAG, |out| {
            ebml::master(out, id::TARGETS, |out| {
                ebml::uint(out, id::TARGET_TYPE_VALUE, THE_WHOLE);
            });
            for (name, value) in named.into_iter().chain(facts).filter(|(_, value)| !value.is_empty()) {
                ebml::master(out, id::SIMPLE_TAG, |out| {
                    ebml::text(out, id::TAG_NAME, name);
                    ebml::text(out, id::TAG_STRING, value);
                });
            }
        });
    });
    out
}

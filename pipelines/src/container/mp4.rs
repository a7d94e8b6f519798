//! MP4 ([ISO/IEC 14496-12](https://www.iso.org/standard/83102.html)), with the index first ("faststart").
//!
//! Media goes to a file beside it while the index grows in memory, some 16 bytes a frame; at the end both become one file.
//!
//! A track of H.264 whose parameter sets change, as they do with every change of resolution, gets a further sample
//! description each time. The sets also stay in the stream, because players built on ffmpeg's demuxer with a converter of
//! their own, Chromium among them, look at the first description alone.

mod index;

use std::{
    fs::File,
    io::{self, BufWriter, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use mp4_atom::{FixedPoint, FourCC, Ftyp, Moov, Mvhd};

use self::index::TrackIndex;
use super::{Muxer, Sample, Tags, Track, WRITER, unsupported};

/// Units of the movie's own time, a second: those of video, so that edits are exact.
const MOVIE: u32 = 90_000;
/// Seconds from 1904, where MP4 counts from, to 1970.
const EPOCH: u64 = 2_082_844_800;

pub(super) struct Mp4 {
    path: PathBuf,
    media: Spool,
    tracks: Vec<TrackIndex>,
    tags: Tags,
}

/// A file beside the result, gone when dropped.
struct Spool {
    path: PathBuf,
    out: BufWriter<File>,
    len: u64,
}

impl Mp4 {
    pub fn create(path: &Path, tracks: Vec<Track>, tags: Tags) -> io::Result<Self> {
        let tracks = tracks.into_iter().map(TrackIndex::new).collect::<io::Result<_>>()?;
        Ok(Self {
            path: path.to_owned(),
            media: Spool::create(path)?,
            tracks,
            tags,
        })
    }

    /// The index, for media that begins at `media_at`.
    fn index(&self, media_at: u64) -> io::Result<Vec<u8>> {
        let created = self.tags.unix_nanos / 1_000_000_000 + EPOCH;
        let trak: Vec<_> = (1..)
            .zip(&self.tracks)
            .filter(|(_, track)| !track.samples.is_empty())
            .map(|(id, track)| track.trak(id, created, media_at))
            .collect();
        let duration = trak.iter().map(|trak| trak.tkhd.duration).max().unwrap_or(0);
        let moov = Moov {
            mvhd: Mvhd {
                creation_time: created,
                modification_time: created,
                timescale: MOVIE,
                duration,
                rate: FixedPoint::from(1),
                volume: FixedPoint::from(1),
                next_track_id: u32::try_from(self.tracks.len()).unwrap_or(u32::MAX) + 1,
                ..Mvhd::default()
            },
            trak,
            ..Moov::default()
        };
        let mut bytes = encode(&moov)?;
        // mp4-atom knows no iTunes tags for an artist or a comment: the last box is put in by hand.
        bytes.extend(user_data(&self.tags));
        let length = u32::try_from(bytes.len()).map_err(|_| unsupported("an index of more than 4 GiB"))?;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        Ok(bytes)
    }
}

impl Muxer for Mp4 {
    fn write(&mut self, track: usize, sample: Sample) -> io::Result<()> {
        self.tracks[track].add(sample, &mut self.media)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        for track in &mut self.tracks {
            track.close_chunk(&mut self.media)?;
        }
        let kinds = Ftyp {
            major_brand: FourCC::new(b"isom"),
            minor_version: 512,
            compatible_brands: [b"isom", b"iso2", b"avc1", b"mp41"].map(FourCC::new).to_vec(),
        };
        let mut head = encode(&kinds)?;
        // The header of media of any length: a length of 1 says that the real one follows in 64 bits.
        let media_head = [&1_u32.to_be_bytes()[..], b"mdat", &(self.media.len + 16).to_be_bytes()].concat();
        // Where the media begins does not change how long the index is.
        let media_at = (head.len() + self.index(0)?.len() + media_head.len()) as u64;
        head.extend(self.index(media_at)?);
        head.extend(media_head);
        let mut out = File::create(&self.path)?;
        out.write_all(&head)?;
        self.media.copy_to(&mut out)
    }
}

impl Spool {
    fn create(beside: &Path) -> io::Result<Self> {
        let mut path = beside.as_os_str().to_owned();
        path.push(".media");
        let path = PathBuf::from(path);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        Ok(Self {
            path,
            out: BufWriter::with_capacity(256 * 1024, file),
            len: 0,
        })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let at = self.len;
        self.out.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(at)
    }

    fn copy_to(&mut self, out: &mut File) -> io::Result<()> {
        self.out.flush()?;
        let file = self.out.get_mut();
        file.rewind()?;
        // Within the kernel, where it can.
        let copied = io::copy(&mut file.take(self.len), out)?;
        if copied == self.len {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, "a temporary file could not be removed");
        }
    }
}

fn encode(atom: &impl mp4_atom::Encode) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    atom.encode(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// Tags as iTunes writes them, which is what players read: `udta/meta/ilst`.
fn user_data(tags: &Tags) -> Vec<u8> {
    let atom = |kind: &[u8; 4], parts: &[&[u8]]| {
        let length = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        [&length[..], kind, &parts.concat()].concat()
    };
    let facts: Vec<_> = tags
        .facts
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let comment = facts.join("; ");
    let items: Vec<_> = [
        (b"\xA9nam", &*tags.title),
        (b"\xA9ART", &tags.artist),
        (b"\xA9day", &tags.date),
        (b"\xA9cmt", &comment),
        (b"\xA9too", WRITER),
    ]
    .into_iter()
    .filter(|(_, text)| !text.is_empty())
    // Of type UTF-8, in no country's language.
    .map(|(kind, text)| atom(kind, &[&atom(b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0], text.as_bytes()])]))
    .collect();
    let handler = atom(b"hdlr", &[&[0; 8], b"mdirappl", &[0; 9]]);
    let list = atom(b"ilst", &[&items.concat()]);
    atom(b"udta", &[&atom(b"meta", &[&[0; 4], &handler, &list])])
}

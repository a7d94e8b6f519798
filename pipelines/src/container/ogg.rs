//! Opus in Ogg ([RFC 7845](https://www.rfc-editor.org/rfc/rfc7845)).

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use ogg::{PacketWriteEndInfo, PacketWriter};

use super::{Format, Muxer, Sample, Tags, Track, WRITER, opus_head, ticks, unsupported};

/// A page is ended after so many samples at the latest, so that players find their way.
const PAGE: u64 = 48_000;

pub(super) struct OggOpus {
    pages: PacketWriter<'static, BufWriter<File>>,
    serial: u32,
    /// Held back until the next comes: the last one ends the stream.
    held: Option<Sample>,
    /// Where the last page ends, in samples.
    page_end: u64,
}

impl OggOpus {
    pub fn create(path: &Path, tracks: &[Track], tags: &Tags) -> io::Result<Self> {
        let [
            Track {
                format: Format::Opus { channels, pre_skip },
                ..
            },
        ] = *tracks
        else {
            return Err(unsupported("Ogg holds one track of Opus"));
        };
        let mut pages = PacketWriter::new(BufWriter::new(File::create(path)?));
        // Any number will do: it tells streams of one file apart, and there is one.
        let serial = 1;
        pages.write_packet(opus_head(channels, pre_skip), serial, PacketWriteEndInfo::EndPage, 0)?;
        pages.write_packet(comments(tags), serial, PacketWriteEndInfo::EndPage, 0)?;
        Ok(Self {
            pages,
            serial,
            held: None,
            page_end: 0,
        })
    }

    fn put(&mut self, sample: Sample, last: bool) -> io::Result<()> {
        let end = ticks(sample.at + sample.lasts, crate::sound::RATE);
        let info = if last {
            PacketWriteEndInfo::EndStream
        } else if end - self.page_end.min(end) >= PAGE {
            PacketWriteEndInfo::EndPage
        } else {
            PacketWriteEndInfo::NormalPacket
        };
        if !matches!(info, PacketWriteEndInfo::NormalPacket) {
            self.page_end = end;
        }
        self.pages.write_packet(Vec::from(sample.data), self.serial, info, end)
    }
}

impl Muxer for OggOpus {
    fn write(&mut self, _: usize, sample: Sample) -> io::Result<()> {
        match self.held.replace(sample) {
            Some(held) => self.put(held, false),
            None => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if let Some(held) = self.held.take() {
            self.put(held, true)?;
        }
        self.pages.inner_mut().flush()
    }
}

/// The comment header (RFC 7845 §5.2).
fn comments(tags: &Tags) -> Vec<u8> {
    let mut header = b"OpusTags".to_vec();
    let mut put = |text: &str| {
        header.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        header.extend_from_slice(text.as_bytes());
    };
    put(WRITER);
    let named = [("TITLE", &tags.title), ("ARTIST", &tags.artist), ("DATE", &tags.date)];
    let facts = tags.facts.iter().map(|(name, value)| (*name, value));
    let comments: Vec<_> = named
        .into_iter()
        .chain(facts)
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    // The count stands between the vendor and the comments.
    header.extend(u32::try_from(comments.len()).unwrap_or(0).to_le_bytes());
    for comment in comments {
        header.extend(u32::try_from(comment.len()).unwrap_or(u32::MAX).to_le_bytes());
        header.extend_from_slice(comment.as_bytes());
    }
    header
}

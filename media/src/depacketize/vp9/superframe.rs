//! Several layer frames of one picture as one frame that any decoder understands.
//!
//! The layers of a picture arrive as so many frames, each marked as shown, and a decoder made for layers shows the
//! highest only. Others (ffmpeg's own among them) would show all, one after the other in different sizes. So all but the
//! last are marked as hidden here, as an alternate reference frame is, and an index at the end (VP9 specification,
//! Annex B) says where each one is.

use bytes::Bytes;

use super::header::FrameHeader;

const MAX_FRAMES: usize = 8;

/// Joins the frames of one picture; `None` if there are none, or more than a superframe can hold. A single one stays
/// as it is.
pub(super) fn join(mut frames: Vec<Bytes>, headers: &[FrameHeader]) -> Option<Bytes> {
    if frames.len() == 1 {
        return frames.pop();
    }
    if frames.is_empty() || frames.len() > MAX_FRAMES {
        return None;
    }
    let last = frames.len() - 1;
    for (index, header) in headers.iter().enumerate().take(last) {
        // Motion vectors are carried over from a shown frame of the same size. Layers differ in size; if they do not,
        // hiding one would change what the next decodes to.
        let next = headers.get(index + 1)?;
        if header.dims != next.dims || next.error_resilient {
            frames[index] = hidden(&frames[index], header);
        }
    }
    Some(with_index(&frames))
}

/// The same frame, not shown. What cannot be rewritten is left as it is.
fn hidden(frame: &Bytes, header: &FrameHeader) -> Bytes {
    let (true, false, Some(len)) = (header.show, header.show_existing, header.len) else {
        return frame.clone();
    };
    let mut bits = BitCopy {
        from: frame,
        to: Vec::with_capacity(frame.len() + 1),
        len: 0,
    };
    bits.copy(0..header.show_at);
    bits.push(false);
    bits.copy(header.show_at + 1..header.intra_only_at);
    if !header.key {
        // Only the header of a hidden frame says whether it is intra-only.
        bits.push(false);
    }
    bits.copy(header.intra_only_at..len);
    let mut rewritten = bits.to;
    rewritten.extend_from_slice(&frame[len.div_ceil(8)..]);
    rewritten.into()
}

/// Appends the index: a marker, the size of each frame, the marker again.
fn with_index(frames: &[Bytes]) -> Bytes {
    let largest = frames.iter().map(Bytes::len).max().unwrap_or(0);
    let size_len = (1..4).find(|bytes| largest >> (8 * bytes) == 0).unwrap_or(4);
    let marker = u8::try_from(0b1100_0000 | (size_len - 1) << 3 | (frames.len() - 1)).unwrap_or_default();
    let mut joined = Vec::with_capacity(frames.iter().map(Bytes::len).sum::<usize>() + 2 + size_len * frames.len());
    for frame in frames {
        joined.extend_from_slice(frame);
    }
    joined.push(marker);
    for frame in frames {
        joined.extend_from_slice(&frame.len().to_le_bytes()[..size_len]);
    }
    joined.push(marker);
    joined.into()
}

struct BitCopy<'a> {
    from: &'a [u8],
    to: Vec<u8>,
    /// In bits.
    len: usize,
}

impl BitCopy<'_> {
    fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(8) {
            self.to.push(0);
        }
        if let (true, Some(byte)) = (bit, self.to.last_mut()) {
            *byte |= 0x80 >> (self.len % 8);
        }
        self.len += 1;
    }

    fn copy(&mut self, range: std::ops::Range<usize>) {
        for at in range {
            self.push(self.from[at / 8] >> (7 - at % 8) & 1 == 1);
        }
    }
}

//! VP9 ([RFC 9628](https://www.rfc-editor.org/rfc/rfc9628)), with spatial layers.

mod descriptor;
mod header;
mod superframe;

use std::collections::VecDeque;

use bytes::Bytes;
pub(crate) use descriptor::Vp9Descriptor;
use header::{FrameHeader, Sizes};

use super::{
    assembler::{Assembled, Outcome, VideoFormat, concat},
    temporal::{TemporalChain, TemporalIndex},
};
use crate::codec::Dims;

/// Pictures a flexible-mode reference can reach back to: `P_DIFF` has 7 bits.
const REFERENCE_REACH: usize = 128;

/// A picture is all layer frames of one timestamp, lowest layer first. Several make one superframe.
#[derive(Default)]
pub(super) struct Vp9 {
    chain: TemporalChain,
    /// Ids of the last pictures that were decodable, newest last.
    decodable: VecDeque<u16>,
    /// Something is missing since the last key frame.
    suspect: bool,
    sizes: Sizes,
    dims: Option<Dims>,
}

/// The size that the header of a layer frame states; `None` if it is that of a reference.
pub(super) fn announced_dims(frame: &[u8]) -> Option<Dims> {
    FrameHeader::parse(frame, &Sizes::default())?.dims
}

impl VideoFormat for Vp9 {
    type Part = (Vp9Descriptor, Bytes);

    fn part(&mut self, payload: &Bytes) -> Option<Self::Part> {
        let descriptor = Vp9Descriptor::parse(payload)?;
        let data = payload.slice(descriptor.len..);
        Some((descriptor, data))
    }

    fn assemble(&mut self, parts: Vec<Self::Part>, head_sure: bool) -> Outcome {
        let Some((first, _)) = parts.first().cloned() else {
            return Outcome::Nothing;
        };
        let stands_alone = first.spatial_layer() == 0 || !first.inter_layer();
        if !first.begin || !(head_sure || stands_alone) {
            return Outcome::Incomplete;
        }
        let layers = layer_frames(parts);
        let mut sizes = self.sizes.clone();
        let mut headers = Vec::with_capacity(layers.len());
        for (_, data) in &layers {
            let Some(header) = FrameHeader::parse(data, &sizes) else {
                return Outcome::Malformed;
            };
            sizes.update(&header);
            headers.push(header);
        }
        let keyframe = headers.first().is_some_and(|header| header.key);
        if !self.decodable(&layers, keyframe) {
            return Outcome::Undecodable;
        }
        self.sizes = sizes;
        let dims = headers.last().and_then(|header| header.dims);
        let changed = dims.filter(|_| keyframe || dims != self.dims);
        self.dims = dims.or(self.dims);
        let Some(data) = superframe::join(layers.into_iter().map(|(_, data)| data).collect(), &headers) else {
            return Outcome::Malformed;
        };
        Outcome::Frame(Assembled {
            data,
            keyframe,
            dims: changed,
        })
    }

    fn lost(&mut self) {
        self.suspect = true;
        self.chain.lost();
    }
}

impl Vp9 {
    /// Whether all that the picture refers to is there; takes note of it.
    fn decodable(&mut self, layers: &[(Vp9Descriptor, Bytes)], keyframe: bool) -> bool {
        let Some((first, _)) = layers.first() else { return false };
        let temporal = first.temporal();
        if keyframe {
            self.suspect = false;
            self.decodable.clear();
            self.chain.keyframe(temporal);
        } else if first.flexible {
            // Flexible mode names each picture it refers to.
            let known = !self.decodable.is_empty();
            if !known || (self.suspect && !layers.iter().all(|(layer, _)| self.references_exist(layer))) {
                return false;
            }
        } else if !self.chain.decodable(temporal) {
            return false;
        }
        if self.decodable.len() == REFERENCE_REACH {
            self.decodable.pop_front();
        }
        self.decodable.push_back(first.picture_id.map_or(0, |(_, id, _)| id));
        true
    }

    fn references_exist(&self, layer: &Vp9Descriptor) -> bool {
        let Some((_, id, long)) = layer.picture_id else {
            return false;
        };
        let cycle = if long { 1 << 15 } else { 1 << 7 };
        let mut references = layer.references();
        !layer.inter_picture
            || references.all(|back| self.decodable.contains(&((id + cycle - u16::from(back)) % cycle)))
    }
}

/// The packets of a picture, joined to one piece per layer frame.
fn layer_frames(parts: Vec<(Vp9Descriptor, Bytes)>) -> Vec<(Vp9Descriptor, Bytes)> {
    let mut layers: Vec<(Vp9Descriptor, Vec<Bytes>)> = Vec::new();
    for (descriptor, data) in parts {
        match layers.last_mut() {
            Some((_, pieces)) if !descriptor.begin => pieces.push(data),
            _ => layers.push((descriptor, vec![data])),
        }
    }
    layers
        .into_iter()
        .map(|(descriptor, pieces)| (descriptor, concat(pieces.into_iter())))
        .collect()
}

impl Vp9Descriptor {
    fn temporal(&self) -> Option<TemporalIndex> {
        let ((_, tl0), layer) = (self.tl0?, self.layer?);
        Some(TemporalIndex {
            tl0,
            layer: layer.temporal,
            sync: false,
            switching_up: layer.switching_up,
        })
    }
}

#![no_main]

use greffier_media::{
    codec::Codec,
    munge::{Munged, Munger, Origin, SourceId},
};
use greffier_media_fuzz::packets;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let codec = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1][usize::from(first % 4)];
    let mut munger = Munger::new(codec, Origin { sequence: 65_000, timestamp: u32::MAX, picture_id: 7 });
    let mut last: Option<(u16, u32)> = None;
    for (index, ordered) in packets(rest).into_iter().enumerate() {
        let source = SourceId(u32::from(index % 7 > 4));
        munger.choose(SourceId(u32::from(index / 5 % 2 == 1)));
        if let Munged::Send(sent) = munger.push(source, ordered) {
            if let Some((sequence, timestamp)) = last {
                assert_eq!(sent.sequence, sequence.wrapping_add(1));
                assert!(sent.timestamp.wrapping_sub(timestamp).cast_signed() >= 0);
            }
            last = Some((sent.sequence, sent.timestamp));
        }
    }
});

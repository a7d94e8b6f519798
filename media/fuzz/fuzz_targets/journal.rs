#![no_main]

use greffier_media::journal::{SegmentReader, SegmentSummary, Tail, recover};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = SegmentSummary::read(data, data.len() as u64);
    let recovery = recover(data).expect("memory can be read");
    let valid = usize::try_from(recovery.valid_bytes).expect("no more than there is");
    let mended = [&data[..valid], &recovery.ending].concat();
    let mut reader = SegmentReader::new(&mended[..]);
    let mut messages = 0;
    while let Some(chunk) = reader.next_chunk().expect("memory can be read") {
        messages += chunk.messages().len() as u64;
    }
    assert_eq!(reader.tail(), Some(&Tail::Complete), "what is mended is whole");
    assert_eq!(messages, recovery.summary.messages());
});

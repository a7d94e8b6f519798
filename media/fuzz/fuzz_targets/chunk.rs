//! A segment whose framing and checksums are right, with a chunk that holds anything.
#![no_main]

use greffier_media::journal::{SegmentReader, SegmentWriter, recover};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (empty, _) = SegmentWriter::new(Vec::new()).and_then(SegmentWriter::finish).expect("memory takes all");
    let header = 8 + 9 + usize::try_from(u64::from_le_bytes(empty[9..17].try_into().expect("8 bytes"))).expect("small");
    let mut file = empty[..header].to_vec();
    // Times that fit one message are put where the first message would have them.
    let times = data.get(9 + 6..9 + 14).filter(|_| data.first() == Some(&5)).unwrap_or(&[0; 8]);
    let len = data.len() as u64;
    file.push(6);
    file.extend((8 + 8 + 8 + 4 + 4 + 8 + len).to_le_bytes());
    file.extend(times);
    file.extend(times);
    file.extend(len.to_le_bytes());
    file.extend(crc32fast::hash(data).to_le_bytes());
    file.extend(0_u32.to_le_bytes());
    file.extend(len.to_le_bytes());
    file.extend(data);
    let mut reader = SegmentReader::new(&file[..]);
    while let Some(chunk) = reader.next_chunk().expect("memory can be read") {
        for message in chunk.messages() {
            assert!(message.data.len() <= data.len());
        }
    }
    let _ = recover(&file[..]).expect("memory can be read");
});

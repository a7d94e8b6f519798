#![no_main]

use bytes::Bytes;
use greffier_media::{
    reorder::Numbering,
    rtp::{RtpPacket, sender_reports},
    time::Arrival,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for report in sender_reports(data) {
        let _ = report.ntp.to_wall();
    }
    let Ok(packet) = RtpPacket::parse(data) else { return };
    assert_eq!(packet.payload(), &data[packet.payload_range()]);
    let _ = packet.csrcs().count();
    for (id, found) in packet.extensions() {
        assert!(found.len() <= data.len());
        assert!(packet.extension(id).is_some());
    }
    let numbered = Numbering::default().number(Arrival::ZERO, &Bytes::copy_from_slice(data)).expect("it parsed before");
    assert_eq!(numbered.payload, packet.payload());
});

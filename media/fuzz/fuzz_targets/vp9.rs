#![no_main]

use greffier_media::codec::Codec;
use greffier_media_fuzz::depacketize;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| depacketize(Codec::Vp9, data));

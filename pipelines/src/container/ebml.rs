//! EBML ([RFC 8794](https://www.rfc-editor.org/rfc/rfc8794)), as far as writing needs it: an id, a length, a body.

/// Appends an element.
pub(super) fn element(out: &mut Vec<u8>, id: u32, body: &[u8]) {
    write_id(out, id);
    size(out, body.len() as u64);
    out.extend_from_slice(body);
}

/// Appends an element whose body is made in place.
pub(super) fn master(out: &mut Vec<u8>, id: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    body(&mut inner);
    element(out, id, &inner);
}

pub(super) fn uint(out: &mut Vec<u8>, id: u32, value: u64) {
    let bytes = value.to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    element(out, id, &bytes[first..]);
}

/// A number that will be written again: always eight bytes.
pub(super) fn wide_uint(out: &mut Vec<u8>, id: u32, value: u64) {
    element(out, id, &value.to_be_bytes());
}

pub(super) fn float(out: &mut Vec<u8>, id: u32, value: f64) {
    element(out, id, &value.to_be_bytes());
}

pub(super) fn text(out: &mut Vec<u8>, id: u32, value: &str) {
    element(out, id, value.as_bytes());
}

/// Ids carry their length in themselves.
pub(super) fn write_id(out: &mut Vec<u8>, id: u32) {
    let bytes = id.to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
    out.extend_from_slice(&bytes[first..]);
}

/// A length in as few bytes as it takes; all ones would mean "unknown".
pub(super) fn size(out: &mut Vec<u8>, value: u64) {
    let length = (1..8).find(|length| value < (1 << (7 * length)) - 1).unwrap_or(8);
    sized(out, value, length);
}

/// A length in eight bytes, to be written again.
pub(super) fn wide_size(out: &mut Vec<u8>, value: u64) {
    sized(out, value, 8);
}

fn sized(out: &mut Vec<u8>, value: u64, length: usize) {
    let marked = value | 1 << (7 * length);
    out.extend_from_slice(&marked.to_be_bytes()[8 - length..]);
}

/// Exactly `length` bytes that mean nothing; at least two.
pub(super) fn void(length: usize) -> Vec<u8> {
    const VOID: u8 = 0xEC;
    let mut out = vec![VOID];
    if length < 10 {
        sized(&mut out, length.saturating_sub(2) as u64, 1);
    } else {
        wide_size(&mut out, (length - 9) as u64);
    }
    out.resize(length, 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn lengths_take_as_few_bytes_as_they_need() {
        assert_eq!(bytes(|out| size(out, 126)), [0xFE]);
        assert_eq!(bytes(|out| size(out, 127)), [0x40, 0x7F], "all ones are reserved");
        assert_eq!(bytes(|out| size(out, 16_382)), [0x7F, 0xFE]);
        assert_eq!(bytes(|out| wide_size(out, 5)), [1, 0, 0, 0, 0, 0, 0, 5]);
    }

    #[test]
    fn elements() {
        assert_eq!(bytes(|out| uint(out, 0xD7, 1)), [0xD7, 0x81, 1]);
        assert_eq!(
            bytes(|out| uint(out, 0x2A_D7B1, 1_000_000)),
            [0x2A, 0xD7, 0xB1, 0x83, 0x0F, 0x42, 0x40]
        );
        assert_eq!(bytes(|out| uint(out, 0x9C, 0)), [0x9C, 0x81, 0]);
        assert_eq!(
            bytes(|out| master(out, 0xAE, |out| text(out, 0x86, "ab"))),
            [0xAE, 0x84, 0x86, 0x82, b'a', b'b']
        );
    }

    #[test]
    fn a_void_is_as_long_as_asked() {
        for length in 2..300 {
            assert_eq!(void(length).len(), length);
        }
        assert_eq!(void(2), [0xEC, 0x80]);
        assert_eq!(void(11)[..9], [0xEC, 1, 0, 0, 0, 0, 0, 0, 2]);
    }
}

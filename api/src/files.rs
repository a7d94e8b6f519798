//! Bytes of recordings over HTTP: whole, or a range, with validators
//! ([RFC 9110 §13, §14](https://www.rfc-editor.org/rfc/rfc9110#section-13)).

use std::ops::Range;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use greffier_store::{Store, files::StoredFile};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::problem::{ApiError, ApiResult};

/// What of a file is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Whole,
    /// The end is exclusive.
    Part(Range<u64>),
    /// It is known already.
    Nothing,
    /// It is not what it was thought to be.
    Changed,
    Unsatisfiable,
}

/// How a file is answered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// To be saved rather than shown.
    pub download: bool,
    /// At most so many bytes of a range, which [RFC 9110 §15.3.7](https://www.rfc-editor.org/rfc/rfc9110#section-15.3.7)
    /// allows. A player that shows many files at once asks for this: a browser has six connections to a server, and a
    /// media element that has read enough keeps its own until all is sent.
    pub chunk: Option<u64>,
}

/// Bytes that are sent at once, however few are asked for.
const SMALLEST_CHUNK: u64 = 64 * 1024;

impl Manner {
    fn cut(self, range: Range<u64>) -> Range<u64> {
        match self.chunk {
            Some(chunk) => range.start..range.end.min(range.start.saturating_add(chunk.max(SMALLEST_CHUNK))),
            None => range,
        }
    }
}

/// Answers with a file. Its bytes never change, so its hash is a strong validator.
pub(crate) async fn answer(
    store: &Store,
    file: &StoredFile,
    method: &Method,
    asked: &HeaderMap,
    manner: Manner,
) -> ApiResult<Response> {
    let etag = format!("\"{}\"", file.sha256);
    let wanted = wanted(asked, method, &etag, file.bytes);
    let (status, range) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..file.bytes),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, manner.cut(range)),
        Wanted::Nothing => (StatusCode::NOT_MODIFIED, 0..0),
        Wanted::Changed => {
            return Err(ApiError::new(
                StatusCode::PRECONDITION_FAILED,
                "precondition_failed",
                "the file is not the one that `If-Match` names",
            ));
        }
        Wanted::Unsatisfiable => return Ok(unsatisfiable(file.bytes)),
    };
    let body = if status == StatusCode::NOT_MODIFIED || method == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(store.files().open(file, range.clone()).await?)
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    put(headers, header::ETAG, &etag);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=3600, immutable"),
    );
    if status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    put(headers, header::CONTENT_TYPE, &file.media_type);
    put(
        headers,
        header::CONTENT_DISPOSITION,
        &disposition(&file.name, manner.download),
    );
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {}-{}/{}", range.start, range.end - 1, file.bytes);
        put(headers, header::CONTENT_RANGE, &part);
    }
    Ok(response)
}

fn put(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => {
            headers.insert(name, value);
        }
        Err(error) => tracing::error!(%name, %error, "a header could not be written"),
    }
}

fn unsatisfiable(bytes: u64) -> Response {
    let detail = format!("the file has {bytes} bytes");
    let error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", detail);
    let mut response = error.into_response();
    put(
        response.headers_mut(),
        header::CONTENT_RANGE,
        &format!("bytes */{bytes}"),
    );
    response
}

/// Preconditions in the order of [RFC 9110 §13.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2); there are no
/// dates, since nothing changes.
fn wanted(asked: &HeaderMap, method: &Method, etag: &str, bytes: u64) -> Wanted {
    if asked.contains_key(header::IF_MATCH) && !names(asked, &header::IF_MATCH, etag, false) {
        return Wanted::Changed;
    }
    if names(asked, &header::IF_NONE_MATCH, etag, true) {
        return Wanted::Nothing;
    }
    let same = asked
        .get(header::IF_RANGE)
        .is_none_or(|tag| tag.as_bytes() == etag.as_bytes());
    let range = asked.get(header::RANGE).filter(|_| same && method == Method::GET);
    let Some(range) = range.and_then(|range| range.to_str().ok()) else {
        return Wanted::Whole;
    };
    // Units that we do not know are as if they were not there; so are many ranges at once, which players never want.
    let Some(spec) = range.strip_prefix("bytes=").filter(|spec| !spec.contains(',')) else {
        return Wanted::Whole;
    };
    part(spec.trim(), bytes).map_or(Wanted::Unsatisfiable, Wanted::Part)
}

/// One range ([RFC 9110 §14.1.2](https://www.rfc-editor.org/rfc/rfc9110#section-14.1.2)); libraries refuse a suffix that is
/// longer than the file, which stands for all of it.
fn part(spec: &str, bytes: u64) -> Option<Range<u64>> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // What is too long for the type is longer than any file.
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        return (suffix > 0 && bytes > 0).then(|| bytes.saturating_sub(suffix)..bytes);
    }
    let first = number(first)?;
    let end = if last.is_empty() {
        bytes
    } else {
        number(last)?.saturating_add(1)
    };
    (first < end && first < bytes).then(|| first..end.min(bytes))
}

/// Whether a list of entity tags has this one, or is `*`.
fn names(asked: &HeaderMap, header: &header::HeaderName, etag: &str, weakly: bool) -> bool {
    let lists = asked.get_all(header).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|tag| {
        let tag = if weakly { tag.trim_start_matches("W/") } else { tag };
        tag == "*" || tag == etag
    })
}

/// [RFC 8187](https://www.rfc-editor.org/rfc/rfc8187): what may stand in an extended value.
const EXTENDED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// [RFC 6266](https://www.rfc-editor.org/rfc/rfc6266): what to do with the file, and what to call it.
fn disposition(name: &str, download: bool) -> String {
    let kind = if download { "attachment" } else { "inline" };
    let name = name.rsplit('/').next().unwrap_or(name);
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_. ".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    let extended = utf8_percent_encode(name, EXTENDED);
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{extended}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ETAG: &str = "\"abc\"";

    fn asked(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn ranges_as_the_rfc_has_them() {
        for (range, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=5-100", Wanted::Part(5..10)),
            ("bytes=9-9", Wanted::Part(9..10)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=10-12", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=5-2", Wanted::Unsatisfiable),
            ("bytes=x-2", Wanted::Unsatisfiable),
            ("bytes=", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("nonsense", Wanted::Whole),
        ] {
            let headers = asked(&[(header::RANGE, range)]);
            assert_eq!(wanted(&headers, &Method::GET, ETAG, 10), expected, "{range}");
            assert_eq!(
                wanted(&headers, &Method::HEAD, ETAG, 10),
                Wanted::Whole,
                "HEAD has no ranges"
            );
        }
    }

    #[test]
    fn ranges_are_cut_into_chunks_on_request() {
        let by = |chunk| Manner {
            chunk,
            ..Manner::default()
        };
        assert_eq!(by(None).cut(5..u64::MAX), 5..u64::MAX);
        assert_eq!(by(Some(100_000)).cut(5..1_000_000), 5..100_005);
        assert_eq!(by(Some(100_000)).cut(5..10), 5..10);
        assert_eq!(by(Some(0)).cut(5..1_000_000), 5..5 + SMALLEST_CHUNK);
        assert_eq!(by(Some(u64::MAX)).cut(5..10), 5..10);
    }

    #[test]
    fn validators_as_the_rfc_has_them() {
        let range = (header::RANGE, "bytes=1-2");
        for (headers, expected) in [
            (vec![(header::IF_NONE_MATCH, "\"x\", W/\"abc\"")], Wanted::Nothing),
            (vec![(header::IF_NONE_MATCH, "*")], Wanted::Nothing),
            (vec![(header::IF_NONE_MATCH, "\"x\"")], Wanted::Whole),
            (vec![(header::IF_MATCH, ETAG)], Wanted::Whole),
            (vec![(header::IF_MATCH, "W/\"abc\"")], Wanted::Changed),
            (vec![range.clone(), (header::IF_RANGE, ETAG)], Wanted::Part(1..3)),
            (vec![range.clone(), (header::IF_RANGE, "\"old\"")], Wanted::Whole),
            (vec![range.clone(), (header::IF_RANGE, "W/\"abc\"")], Wanted::Whole),
            (
                vec![range, (header::IF_RANGE, "Sat, 29 Oct 1994 19:43:31 GMT")],
                Wanted::Whole,
            ),
        ] {
            assert_eq!(
                wanted(&asked(&headers), &Method::GET, ETAG, 10),
                expected,
                "{headers:?}"
            );
        }
    }

    #[test]
    fn names_of_files_cannot_break_out_of_the_header() {
        let header = disposition("renders/x/Ána \"\r\n; .webm", true);
        assert_eq!(
            header,
            "attachment; filename=\"_na ____ .webm\"; filename*=UTF-8''%C3%81na%20%22%0D%0A%3B%20.webm"
        );
    }

    proptest! {
        /// RFC 9110 §14.1.2, written down a second time.
        #[test]
        fn a_part_is_what_was_asked_for(first in 0_u64..40, last in 0_u64..40, bytes in 0_u64..30) {
            let from_to = asked(&[(header::RANGE, &format!("bytes={first}-{last}"))]);
            let expected = if first <= last && first < bytes {
                Wanted::Part(first..bytes.min(last + 1))
            } else {
                Wanted::Unsatisfiable
            };
            prop_assert_eq!(wanted(&from_to, &Method::GET, ETAG, bytes), expected);
            let suffix = asked(&[(header::RANGE, &format!("bytes=-{last}"))]);
            let expected = if last > 0 && bytes > 0 {
                Wanted::Part(bytes.saturating_sub(last)..bytes)
            } else {
                Wanted::Unsatisfiable
            };
            prop_assert_eq!(wanted(&suffix, &Method::GET, ETAG, bytes), expected);
        }

        #[test]
        fn no_header_panics(range in "[ -~]{0,40}", bytes in any::<u64>()) {
            match wanted(&asked(&[(header::RANGE, &format!("bytes={range}"))]), &Method::GET, ETAG, bytes) {
                Wanted::Part(part) => prop_assert!(part.start < part.end && part.end <= bytes),
                Wanted::Whole | Wanted::Unsatisfiable => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}

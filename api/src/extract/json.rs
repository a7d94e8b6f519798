//! JSON bodies.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
};
use garde::Validate;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use crate::problem::{ApiError, FieldError};

/// A body of JSON that keeps the rules its type states. An absent body is an empty object.
pub(crate) struct Body<T>(pub T);

impl<S, T> FromRequest<S> for Body<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let bytes = Bytes::from_request(request, state).await.map_err(refused)?;
        if !bytes.is_empty() && !is_json {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "the body must be `application/json`",
            ));
        }
        let value: T = parse(if bytes.is_empty() { b"{}" } else { &bytes })?;
        value.validate().map_err(|report| {
            let errors = report.iter().map(|(path, error)| FieldError {
                pointer: pointer_of(&path.to_string()),
                detail: error.to_string(),
            });
            ApiError::invalid(errors.collect())
        })?;
        Ok(Self(value))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| {
        essence.eq_ignore_ascii_case("application/json") || essence.to_ascii_lowercase().ends_with("+json")
    })
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
pub(crate) fn refused(rejection: BytesRejection) -> ApiError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "the body is larger than is taken",
        ),
        _ => ApiError::new(
            StatusCode::BAD_REQUEST,
            "body_unreadable",
            "the body did not arrive whole",
        ),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // Lists of the fields' values in order would be taken for objects too.
    if bytes.trim_ascii_start().starts_with(b"[") && serde_json::from_slice::<IgnoredAny>(bytes).is_ok() {
        return Err(ApiError::invalid_field("", "must be an object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = to_pointer(error.path());
        let error = error.into_inner();
        match error.classify() {
            // What may be one of several texts and is none counts as a fault of syntax, also where the body is JSON.
            Category::Syntax if serde_json::from_slice::<IgnoredAny>(bytes).is_ok() => {
                ApiError::invalid_field(pointer, "is none of the texts that may stand here".to_owned())
            }
            Category::Data => ApiError::invalid_field(pointer, without_place(&error.to_string())),
            _ => malformed(&error),
        }
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "malformed_json",
        format!("the body is not JSON: {error}"),
    )
}

/// The pointer says where; a line and column besides say nothing to whoever built an object.
fn without_place(text: &str) -> String {
    let text = text.split(" at line ").next().unwrap_or(text);
    shorten(text)
}

/// Values may be as long as the body; what is answered is not.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 300;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn to_pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let part = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => escape(&shorten(key)),
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&part);
    }
    pointer
}

/// [RFC 6901 §3](https://www.rfc-editor.org/rfc/rfc6901#section-3).
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// `include[0].kind` to `/include/0/kind`.
fn pointer_of(path: &str) -> String {
    let mut pointer = String::new();
    for part in path.split(['.', '[']) {
        let part = part.trim_end_matches(']').trim_matches('"');
        if !part.is_empty() {
            pointer.push('/');
            pointer.push_str(&escape(part));
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[expect(dead_code, reason = "only its type matters")]
        list: Vec<u8>,
    }

    #[test]
    fn problems_point_at_the_field() {
        for (text, status, start) in [
            (&br#"{"list": [1, 2, "x"]}"#[..], 422, "`/list/2`"),
            (br"{}", 422, "missing field `list`"),
            (b" [[1]]", 422, "must be an object"),
            (br#"{"list": [1]"#, 400, "the body is not JSON"),
            (br#"{"list": [1]} x"#, 400, "the body is not JSON"),
            (b"\xff", 400, "the body is not JSON"),
        ] {
            let problem = parse::<Outer>(text).expect_err("does not fit");
            assert_eq!(problem.status(), status, "{problem:?}");
            assert!(format!("{problem:?}").contains(start), "{problem:?}");
        }
        assert_eq!(pointer_of("include[0].kind"), "/include/0/kind");
    }
}

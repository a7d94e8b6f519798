//! Failures as `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).

mod kinds;
mod sources;

use std::borrow::Cow;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a handler answers.
pub(crate) use sources::INVITATION;

pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// A failure, as it is told to whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after: Option<u64>,
}

/// One field that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FieldError {
    /// A JSON Pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)) into the body: `/include/0/kind`; for a
    /// parameter of the query, `?limit`.
    pub pointer: String,
    pub detail: String,
}

/// A failure ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:greffier:problem:recording_not_found", "title": "Not Found", "status": 404,
    "detail": "there is no recording rec_01J8Z6J9W2T4X5Y6Z7A8B9C0D1", "code": "recording_not_found"
}))]
pub(crate) struct Problem {
    /// `urn:greffier:problem:` and the code.
    r#type: String,
    /// The status in words.
    title: String,
    status: u16,
    /// What is wrong this time, in English.
    detail: String,
    /// A word that stays: programs go by it.
    code: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// The request breaks rules that its sender could have kept.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] if one.pointer.is_empty() => one.detail.clone(),
            [one] => format!("`{}`: {}", one.pointer, one.detail),
            many => format!("{} fields are not as they must be", many.len()),
        };
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
        }
    }

    pub(crate) fn invalid_field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError {
            pointer: pointer.into(),
            detail: detail.into(),
        }])
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    pub(crate) fn unauthenticated(code: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "what you showed does not allow this; another key, token or role may",
        )
    }

    /// `wait` in seconds.
    pub(crate) fn too_many(code: &'static str, wait: u64) -> Self {
        let wait = wait.max(1);
        let detail = format!("too many at once; try again in {wait} s");
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail).retry_after(wait)
    }

    /// A fault of ours, which is in the log and nowhere else.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something failed here; the server's log says what, beside this request's id",
        )
    }

    /// The same by another word.
    #[must_use]
    pub(crate) fn with_code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    #[must_use]
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }
}

/// A problem's code, beside its answer: for the audit log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Code(pub &'static str);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = Problem {
            r#type: format!("urn:greffier:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.into_owned(),
            code: self.code.to_owned(),
            errors: self.errors,
        };
        let mut response = (self.status, Json(problem)).into_response();
        response.extensions_mut().insert(Code(self.code));
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

//! Parameters of the query.

use axum::{extract::FromRequestParts, http::request::Parts};
use axum_extra::extract::Query;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::problem::ApiError;

/// Parameters of the query; some may stand more than once.
pub(crate) struct Params<T>(pub T);

impl<S, T> FromRequestParts<S> for Params<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(refused(&rejection.body_text())),
        }
    }
}

/// For what is there to have a value: `?limit=` is a mistake and not `limit` left out; `null` in a body is told from nothing.
pub(crate) fn given<'de, D, T>(parameter: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(parameter).map(Some)
}

/// The library's words are `Failed to deserialize query string: limit: invalid digit …`.
fn refused(text: &str) -> ApiError {
    let text = text.rsplit_once("query string: ").map_or(text, |(_, after)| after);
    let (parameter, detail) = match text.split_once(": ") {
        Some((parameter, detail)) if !parameter.contains(' ') => (parameter, detail),
        _ => ("", text),
    };
    let detail: String = detail.chars().take(300).collect();
    let parameter: String = parameter.chars().take(100).collect();
    ApiError::invalid_field(format!("?{parameter}"), detail)
}

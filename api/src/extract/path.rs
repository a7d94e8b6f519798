//! Parts of the path.

use axum::{
    extract::{FromRequestParts, Path, rejection::PathRejection},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use crate::problem::ApiError;

/// What the path names. What is not an id names nothing, so it is not found.
pub(crate) struct Id<T>(pub T);

impl<S, T> FromRequestParts<S> for Id<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(_)) => Err(ApiError::not_found("thing")),
            Err(rejection) => {
                tracing::error!(%rejection, "a handler does not fit its path");
                Err(ApiError::internal())
            }
        }
    }
}

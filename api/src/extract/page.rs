//! Pages of lists.

use axum::{
    body::Bytes,
    http::header,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::{ApiError, ApiResult};

/// Which page of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// How many at most.
    #[serde(default, deserialize_with = "super::query::given")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    pub items: Vec<T>,
    /// There is more: ask for it with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// All there is.
    pub(crate) fn whole<U: Into<T>>(items: Vec<U>) -> Self {
        Self {
            items: items.into_iter().map(Into::into).collect(),
            next_cursor: None,
        }
    }
}

/// One that is JSON text already.
pub(crate) struct Written(pub Bytes);

impl IntoResponse for Written {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

impl PageQuery {
    pub(crate) fn limit(&self) -> ApiResult<u64> {
        match self.limit {
            None => Ok(50),
            Some(limit @ 1..=200) => Ok(limit),
            Some(_) => Err(ApiError::invalid_field("?limit", "must be from 1 to 200")),
        }
    }

    /// What the cursor stands for, if there is one.
    pub(crate) fn cursor<T: std::str::FromStr>(&self) -> ApiResult<Option<T>> {
        let bad = |_| ApiError::invalid_field("?cursor", "must be what a page before gave");
        self.cursor.as_deref().map(|text| text.parse().map_err(bad)).transpose()
    }
}

//! Bytes of recordings: sealed segments of the journal, and files that were rendered.

mod list;
mod render;
mod segment;

use axum::{
    http::{HeaderMap, Method},
    response::Response,
};
use greffier_media::ids::RecordingId;
use greffier_store::files::FilePart;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{extract::given, files, problem::ApiResult, services::App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(segment::segment))
        .routes(routes!(render::render))
}

/// What a file holds, as it is.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "for the description: answers are streams")]
struct Bytes(String);

/// How a file is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FileQuery {
    /// `1`: to be saved rather than shown.
    download: Option<String>,
    /// At most so many bytes of a range at once, so that a player of many files does not run out of connections.
    #[serde(default, deserialize_with = "given")]
    chunk: Option<u64>,
    /// From a link; instead of a header.
    #[serde(rename = "key")]
    #[expect(dead_code, reason = "the caller's extractor reads it; here it is described")]
    key: Option<String>,
}

async fn answer(
    app: &App,
    recording: RecordingId,
    part: FilePart,
    query: &FileQuery,
    method: &Method,
    headers: &HeaderMap,
) -> ApiResult<Response> {
    let store = &app.services.store;
    let file = store.files().get(recording, part).await?;
    let manner = files::Manner {
        download: query.download.as_deref().is_some_and(|value| value != "0"),
        chunk: query.chunk,
    };
    files::answer(store, &file, method, headers, manner).await
}

/// Where a file is, with a link's key.
pub(crate) fn url(recording: RecordingId, part: &FilePart, key: &str) -> String {
    match part {
        FilePart::Segment(index) => format!("/api/recordings/{recording}/segments/{}/file?key={key}", index.0),
        FilePart::Render(render, name) => {
            let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
            format!("/api/recordings/{recording}/renders/{render}/files/{name}?key={key}")
        }
    }
}

#[cfg(test)]
mod tests;

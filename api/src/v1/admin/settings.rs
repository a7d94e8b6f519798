//! `GET /api/admin/settings`, `PATCH /api/admin/settings`

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::must_administer;
use crate::{
    Principal,
    extract::Body,
    problem::{ApiError, ApiResult},
    services::{App, LANGUAGES},
};

/// What administrators choose while the server runs; the rest is in its configuration.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"default_language": "fr", "organisation": "Example"}))]
pub(super) struct SettingsView {
    /// What the installation is called, on its pages.
    #[serde(default)]
    #[garde(length(bytes, max = 100))]
    #[schema(max_length = 100, example = "Example meetings")]
    organisation: Option<String>,
    /// Of pages and messages, until somebody chooses another: `en` or `fr`.
    #[serde(default)]
    #[schema(example = "en")]
    default_language: Option<String>,
    /// Those who come by an invitation wait to be let in, unless a room says otherwise.
    #[serde(default)]
    waiting_room: Option<bool>,
}

/// Show the settings.
#[utoipa::path(
    get, path = "/api/admin/settings", tag = "administration", operation_id = "get_settings",
    responses((status = 200, description = "The settings", body = SettingsView))
)]
pub(super) async fn get(State(app): State<App>, caller: Principal) -> ApiResult<Json<SettingsView>> {
    must_administer(&caller)?;
    Ok(Json(current(&app).await?))
}

/// Change settings; what is left out stays.
#[utoipa::path(
    patch, path = "/api/admin/settings", tag = "administration", operation_id = "update_settings",
    request_body = SettingsView,
    responses((status = 200, description = "The settings as they are now", body = SettingsView))
)]
pub(super) async fn change(
    State(app): State<App>,
    caller: Principal,
    Body(asked): Body<SettingsView>,
) -> ApiResult<Json<SettingsView>> {
    must_administer(&caller)?;
    if asked
        .default_language
        .as_deref()
        .is_some_and(|language| !LANGUAGES.contains(&language))
    {
        return Err(ApiError::invalid_field("/default_language", "must be `en` or `fr`"));
    }
    let chosen: BTreeMap<String, Value> = [
        ("organisation", asked.organisation.map(|text| json!(text))),
        ("default_language", asked.default_language.map(|text| json!(text))),
        ("waiting_room", asked.waiting_room.map(|on| json!(on))),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect();
    app.store().settings().set(&chosen).await?;
    Ok(Json(current(&app).await?))
}

async fn current(app: &App) -> ApiResult<SettingsView> {
    let chosen = app.store().settings().all().await?;
    let text = |name: &str| chosen.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(SettingsView {
        organisation: Some(text("organisation").unwrap_or_default()),
        default_language: Some(text("default_language").unwrap_or_else(|| app.config.default_language.clone())),
        waiting_room: Some(chosen.get("waiting_room").and_then(Value::as_bool).unwrap_or(false)),
    })
}

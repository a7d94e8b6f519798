//! `GET /api/config`: what pages need before anybody has logged in.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    problem::ApiResult,
    services::{App, LANGUAGES},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(config))
}

/// What everybody may know.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Config)]
struct ConfigView {
    version: &'static str,
    /// What the installation is called, if it is called anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    organisation: Option<String>,
    #[schema(example = json!(["en", "fr"]))]
    languages: Vec<&'static str>,
    default_language: String,
    /// Where browsers connect to for media.
    #[schema(example = "ws://127.0.0.1:7880")]
    livekit_url: String,
    login: LoginView,
    /// Somebody administers it; until then the set-up link waits in the log.
    set_up: bool,
    /// What browsers subscribe to pushes with (VAPID, base64url); absent if nothing is pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    push_public_key: Option<String>,
    /// Other sites that may show a room in an `<iframe>`.
    embed_origins: Vec<String>,
    features: BTreeMap<&'static str, bool>,
}

/// How people come in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Login)]
struct LoginView {
    /// With an account of their own.
    own: bool,
    /// With a token of another application.
    foreign: bool,
}

/// Get what pages need before anybody has logged in.
#[utoipa::path(
    get, path = "/api/config", tag = "server", operation_id = "get_config", security(()),
    responses((status = 200, description = "The configuration", body = ConfigView))
)]
async fn config(State(app): State<App>) -> ApiResult<Json<ConfigView>> {
    let config = &app.config;
    let chosen = app.store().settings().all().await?;
    let text = |name: &str| {
        chosen
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let push_public_key = app.push_public_key().await?;
    let features = [
        ("recording", true),
        ("push", push_public_key.is_some()),
        ("embedding", !config.embed_origins.is_empty()),
        // Unless a meeting says otherwise.
        ("waiting_room", chosen.get("waiting_room") == Some(&Value::Bool(true))),
    ];
    Ok(Json(ConfigView {
        version: env!("CARGO_PKG_VERSION"),
        languages: LANGUAGES.to_vec(),
        organisation: text("organisation"),
        default_language: text("default_language").unwrap_or_else(|| config.default_language.clone()),
        livekit_url: app.livekit_url(),
        login: LoginView {
            own: config.own_accounts,
            foreign: !app.foreign.is_empty(),
        },
        set_up: app.store().joining().is_set_up().await?,
        push_public_key,
        embed_origins: config.embed_origins.clone(),
        features: features.into(),
    }))
}

#[cfg(test)]
mod tests;

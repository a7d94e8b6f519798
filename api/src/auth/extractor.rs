//! From a request to who asks.

use std::sync::{Arc, OnceLock};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use greffier_media::{ids::RecordingId, time::Clock as _};

use super::Principal;
use crate::{
    extract::{Id, Params},
    layers::ClientAddress,
    problem::{ApiError, ApiResult},
    services::App,
};

/// Where it is written down who asked, for those who look at the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Actor(Arc<OnceLock<String>>);

impl Actor {
    pub(crate) fn name(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    /// For those who show no token: whoever logs in, guests.
    pub(crate) fn is(&self, name: String) {
        // The first to know is right: nobody becomes somebody else in one request.
        let _ = self.0.set(name);
    }
}

/// The key or token that was shown, for those who look again later whether it is good still.
#[derive(Clone)]
pub(crate) struct Shown(pub(crate) Arc<str>);

impl FromRequestParts<App> for Shown {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> ApiResult<Self> {
        Ok(Self(bearer(&parts.headers)?.unwrap_or_default().into()))
    }
}

impl Principal {
    /// Who asks; 401 if nothing is shown.
    pub(crate) async fn of(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        match authenticate_request(parts, app).await? {
            Some(principal) => Ok(principal),
            None => Err(ApiError::unauthenticated(
                "unauthenticated",
                "show who you are: `Authorization: Bearer` and an API key or a token",
            )),
        }
    }
}

impl FromRequestParts<App> for Principal {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        Self::of(parts, app).await
    }
}

impl axum::extract::OptionalFromRequestParts<App> for Principal {
    type Rejection = ApiError;

    /// `None` if nothing is shown; what is shown and wrong is refused all the same.
    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Option<Self>> {
        authenticate_request(parts, app).await
    }
}

/// Who asks; `None` if nothing is shown. Once found, the request remembers.
pub(crate) async fn authenticate_request(parts: &mut Parts, app: &App) -> ApiResult<Option<Principal>> {
    if let Some(known) = parts.extensions.get::<Principal>() {
        return Ok(Some(known.clone()));
    }
    let address = ClientAddress::of(&parts.extensions);
    let Some(token) = bearer(&parts.headers)? else {
        return Ok(None);
    };
    let Some(principal) = app.authenticate(token).await? else {
        // Keys cannot be guessed, so good ones are let in whatever others at the same address do.
        app.limits.wrong(address)?;
        return Err(ApiError::unauthenticated(
            "invalid_token",
            "the key or token is not valid: it may be mistyped, too old, or of another server",
        ));
    };
    app.limits.caller(&principal)?;
    note(parts, &principal);
    Ok(Some(principal))
}

fn note(parts: &mut Parts, principal: &Principal) {
    let name = principal.name();
    tracing::Span::current().record("caller", name.as_str());
    if let Some(actor) = parts.extensions.get::<Actor>() {
        actor.is(name);
    }
    parts.extensions.insert(principal.clone());
}

/// What stands after `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> ApiResult<Option<&str>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    match token {
        Some(token) if !token.is_empty() => Ok(Some(token)),
        _ => Err(ApiError::unauthenticated(
            "invalid_token",
            "`Authorization` must be `Bearer` and an API key or a token",
        )),
    }
}

/// Who asks, by the header or by a link's `?key=`, for something of the recording that the path's `id` names.
pub(crate) struct LinkOr(pub Principal);

#[derive(serde::Deserialize)]
struct Named {
    id: RecordingId,
}

#[derive(serde::Deserialize)]
struct Key {
    key: Option<String>,
}

impl FromRequestParts<App> for LinkOr {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let Params(Key { key }) = Params::from_request_parts(parts, app).await?;
        let Some(key) = key else {
            return Ok(Self(Principal::of(parts, app).await?));
        };
        let Id(Named { id }) = Id::from_request_parts(parts, app).await?;
        let address = ClientAddress::of(&parts.extensions);
        if app.links.verify(&key, id, app.services.clock.now()) {
            let principal = Principal::Link(id);
            note(parts, &principal);
            return Ok(Self(principal));
        }
        app.limits.wrong(address)?;
        Err(ApiError::unauthenticated(
            "link_expired",
            "the link does not work any more; ask for the list of files again",
        ))
    }
}

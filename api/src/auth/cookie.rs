//! Cookies. The one that holds a refresh token: no script reads it, no other site sends it, and only `/api/auth` is
//! sent it. The one that holds a guest's secret: the same, for the whole API.

use axum::http::{HeaderMap, HeaderName, header};
use axum_extra::extract::cookie::{Cookie, CookieJar};

const NAME: &str = "greffier_refresh";
const GUEST: &str = "greffier_guest";
/// Seconds; the session itself ends when it is not used for as long.
const LIFETIME: u64 = 30 * 24 * 60 * 60;

/// A header that keeps a refresh token in the browser. `secure`: to be sent over HTTPS only.
pub(crate) fn set_refresh(token: &str, secure: bool) -> [(HeaderName, String); 1] {
    [(header::SET_COOKIE, written(NAME, token, "/api/auth", LIFETIME, secure))]
}

/// A header that takes it out again.
pub(crate) fn clear_refresh(secure: bool) -> [(HeaderName, String); 1] {
    [(header::SET_COOKIE, written(NAME, "", "/api/auth", 0, secure))]
}

/// The refresh token that a browser sends.
pub(crate) fn read_refresh(headers: &HeaderMap) -> Option<String> {
    read(headers, NAME)
}

/// A header that makes a browser the same guest the next time.
pub(crate) fn set_guest(secret: &str, secure: bool) -> [(HeaderName, String); 1] {
    [(header::SET_COOKIE, written(GUEST, secret, "/api", LIFETIME, secure))]
}

/// The guest that a browser was before.
pub(crate) fn read_guest(headers: &HeaderMap) -> Option<String> {
    read(headers, GUEST)
}

fn read(headers: &HeaderMap, name: &str) -> Option<String> {
    let jar = CookieJar::from_headers(headers);
    jar.get(name)
        .map(Cookie::value)
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
}

fn written(name: &str, value: &str, path: &str, lifetime: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax; Max-Age={lifetime}{secure}")
}

//! Tokens of other applications and of `LiveKit`, good ones and others.

use std::{net::SocketAddr, sync::Arc};

use axum::{Json, Router, routing::get};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::testing::LIVEKIT_KEY;

pub(super) const FOREIGN_SECRET: &str = "a secret that two applications share";
/// The key pair of [RFC 8037, appendix A](https://www.rfc-editor.org/rfc/rfc8037#appendix-A).
pub(super) const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const PRIVATE: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5,
    0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
/// PKCS #8 around an Ed25519 key ([RFC 8410, section 7](https://www.rfc-editor.org/rfc/rfc8410#section-7)).
const PRIVATE_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

pub(super) fn hs256(secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

pub(super) fn ed25519(claims: &Value) -> String {
    let key = EncodingKey::from_ed_der(&[&PRIVATE_HEAD[..], &PRIVATE[..]].concat());
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some("1".into());
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}

pub(super) fn livekit(secret: &str, identity: &str, exp: u64, video: &Value) -> String {
    let claims = json!({
        "iss": LIVEKIT_KEY, "sub": identity, "name": identity, "nbf": exp - 7200, "exp": exp, "video": video,
    });
    hs256(secret, &claims)
}

/// An application that publishes its keys.
pub(super) async fn publish_keys() -> (SocketAddr, impl Future<Output = std::io::Result<()>>) {
    let keys = Arc::new(json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "1", "x": PUBLIC},
    ]}));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move || async move { Json(Value::clone(&keys)) };
    let server = axum::serve(listener, Router::new().route("/keys", get(answer)));
    (address, server.into_future())
}

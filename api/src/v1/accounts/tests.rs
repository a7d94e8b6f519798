//! Accounts, the whole way through the router.

use axum::{
    body::Body,
    http::{Method, header},
};
use serde_json::{Value, json};

use crate::testing::{Answer, Api, request};

const PASSWORD: &str = "correct horse battery";

/// A person who is logged in.
pub(crate) struct Person {
    pub id: String,
    pub token: String,
    pub cookie: String,
}

impl Person {
    pub(crate) fn of(answer: &Answer) -> Self {
        assert!(answer.status.is_success(), "{}", answer.text());
        let body = answer.json();
        let cookie = answer.header(header::SET_COOKIE);
        for part in ["HttpOnly", "SameSite=Lax", "Path=/api/auth"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        Self {
            id: body["user"]["id"].as_str().unwrap().to_owned(),
            token: body["access_token"].as_str().unwrap().to_owned(),
            cookie: cookie.split(';').next().unwrap().to_owned(),
        }
    }
}

/// The first administrator.
pub(crate) async fn admin(api: &Api) -> Person {
    let token = api.services.store.joining().setup_token().await.unwrap().unwrap();
    let body = json!({"token": token, "email": "ada@example.org", "name": "Ada", "password": PASSWORD});
    Person::of(&api.post("/api/setup", "", &body).await)
}

/// Somebody whom the administrator invited.
pub(crate) async fn member(api: &Api, admin: &Person, name: &str) -> Person {
    let invited = api
        .post("/api/users/invitations", &admin.token, &json!({"role": "member"}))
        .await;
    assert_eq!(invited.status, 201, "{}", invited.text());
    let path = format!(
        "/api/users/invitations/{}/accept",
        invited.json()["token"].as_str().unwrap()
    );
    let body = json!({"name": name, "email": format!("{name}@example.org"), "password": PASSWORD});
    Person::of(&api.post(&path, "", &body).await)
}

async fn with_cookie(api: &Api, path: &str, cookie: &str) -> Answer {
    let asked = request(Method::POST, path, "").header(header::COOKIE, cookie);
    api.send(asked.body(Body::empty()).unwrap()).await
}

fn log_in(email: &str, password: &str) -> Value {
    json!({"email": email, "password": password})
}

#[tokio::test]
async fn the_first_administrator_is_made_once() {
    let api = Api::new().await;
    let body = |token: &str| json!({"token": token, "email": "a@b.c", "name": "A", "password": PASSWORD});
    assert_eq!(
        api.post("/api/setup", "", &body("x")).await.problem(),
        (409, "setup_done".into())
    );
    let token = api.services.store.joining().setup_token().await.unwrap().unwrap();
    let weak = json!({"token": token, "email": "a@b.c", "name": "A", "password": "short"});
    let refused = api.post("/api/setup", "", &weak).await;
    assert_eq!(refused.problem(), (422, "invalid".into()));
    assert_eq!(refused.json()["errors"][0]["pointer"], "/password");
    let ada = Person::of(&api.post("/api/setup", "", &body(&token)).await);
    assert_eq!(
        api.post("/api/setup", "", &body(&token)).await.problem(),
        (409, "setup_done".into())
    );
    let me = api.get("/api/me", &ada.token).await.json();
    assert_eq!(
        (me["role"].as_str(), me["email"].as_str()),
        (Some("admin"), Some("a@b.c"))
    );
}

#[tokio::test]
async fn log_ins_are_prolonged_and_ended() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let again = with_cookie(&api, "/api/auth/refresh", &ada.cookie).await;
    let ada = Person {
        id: ada.id,
        ..Person::of(&again)
    };
    assert_eq!(
        with_cookie(&api, "/api/auth/refresh", "greffier_refresh=made-up")
            .await
            .problem()
            .0,
        401
    );
    assert_eq!(
        api.post("/api/auth/refresh", "", &json!({})).await.problem(),
        (401, "unauthenticated".into())
    );

    let other = Person::of(
        &api.post("/api/auth/login", "", &log_in("Ada@Example.org", PASSWORD))
            .await,
    );
    assert_eq!(with_cookie(&api, "/api/auth/logout", &other.cookie).await.status, 204);
    assert_eq!(
        api.get("/api/me", &other.token).await.problem(),
        (401, "invalid_token".into())
    );
    assert_eq!(api.get("/api/me", &ada.token).await.status, 200);
    assert_eq!(
        api.post("/api/auth/logout-all", &ada.token, &json!({})).await.status,
        204
    );
    assert_eq!(api.get("/api/me", &ada.token).await.problem().0, 401);
    assert_eq!(
        with_cookie(&api, "/api/auth/refresh", &ada.cookie).await.problem(),
        (401, "session_ended".into())
    );
}

#[tokio::test]
async fn guessing_passwords_is_put_off() {
    let api = Api::with(|config| config.limits.failures_per_minute = 3).await;
    admin(&api).await;
    let guess = log_in("ada@example.org", "not the password");
    for _ in 0..3 {
        let refused = api.post("/api/auth/login", "", &guess).await;
        assert_eq!(refused.problem(), (401, "wrong_credentials".into()));
    }
    let refused = api
        .post("/api/auth/login", "", &log_in("ada@example.org", PASSWORD))
        .await;
    assert_eq!(refused.problem().0, 429);
    assert!(!refused.header(header::RETRY_AFTER).is_empty());
}

#[tokio::test]
async fn people_change_themselves_and_nobody_else() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let bea = member(&api, &ada, "bea").await;
    let patch = async |path: &str, token: &str, body: Value| api.call(Method::PATCH, path, token, &body).await;
    let changed = patch("/api/me", &bea.token, json!({"name": "Béa", "language": "fr"}))
        .await
        .json();
    assert_eq!(
        (changed["name"].as_str(), changed["language"].as_str()),
        (Some("Béa"), Some("fr"))
    );
    let refused = patch("/api/me", &bea.token, json!({"language": "xx"})).await;
    assert_eq!(refused.json()["errors"][0]["pointer"], "/language");
    let wrong = json!({"password": "another long one", "current_password": "wrong wrong wrong"});
    assert_eq!(
        patch("/api/me", &bea.token, wrong).await.problem(),
        (422, "wrong_password".into())
    );
    let right = json!({"password": "another long one", "current_password": PASSWORD});
    assert_eq!(patch("/api/me", &bea.token, right).await.status, 200);
    assert_eq!(
        api.post("/api/auth/login", "", &log_in("bea@example.org", PASSWORD))
            .await
            .problem()
            .0,
        401
    );
    assert_eq!(
        patch("/api/me", &bea.token, json!({"role": "admin"})).await.problem(),
        (422, "invalid".into())
    );

    let hers = format!("/api/users/{}", bea.id);
    assert_eq!(
        patch(&hers, &bea.token, json!({"role": "admin"})).await.problem(),
        (403, "forbidden".into())
    );
    assert_eq!(
        patch(&hers, &ada.token, json!({"disabled": true})).await.json()["disabled"],
        true
    );
    assert_eq!(api.get("/api/me", &bea.token).await.problem().0, 401);
    let refused = api
        .post("/api/auth/login", "", &log_in("bea@example.org", "another long one"))
        .await;
    assert_eq!(refused.problem(), (403, "account_disabled".into()));
    let last = format!("/api/users/{}", ada.id);
    let refused = patch(&last, &ada.token, json!({"role": "member"})).await;
    assert_eq!(refused.problem(), (409, "last_administrator".into()));
}

/// Somebody at the address that asks guesses keys until they are put off.
async fn put_off(api: &Api) {
    for _ in 0..4 {
        api.get("/api/me", "gk_guess").await;
    }
    assert_eq!(api.get("/api/me", "gk_guess").await.problem().0, 429);
}

#[tokio::test]
async fn what_cannot_be_guessed_is_taken_whatever_others_at_the_address_do() {
    let api = Api::with(|config| config.limits.failures_per_minute = 3).await;
    let token = api.services.store.joining().setup_token().await.unwrap().unwrap();
    put_off(&api).await;
    let body = json!({"token": token, "email": "ada@example.org", "name": "Ada", "password": PASSWORD});
    let ada = Person::of(&api.post("/api/setup", "", &body).await);
    let invited = api
        .post("/api/users/invitations", &ada.token, &json!({"role": "member"}))
        .await
        .json();
    let path = format!("/api/users/invitations/{}", invited["token"].as_str().unwrap());
    assert_eq!(api.get(&path, "").await.status, 200);
    let body = json!({"name": "Bea", "email": "bea@example.org", "password": PASSWORD});
    Person::of(&api.post(&format!("{path}/accept"), "", &body).await);
    let prolonged = with_cookie(&api, "/api/auth/refresh", &ada.cookie).await;
    assert_eq!(prolonged.status, 200, "{}", prolonged.text());
    // A stolen or made-up one is put off like everything that is wrong.
    let made_up = with_cookie(&api, "/api/auth/refresh", "greffier_refresh=made-up").await;
    assert_eq!(made_up.problem().0, 429);
}

#[tokio::test]
async fn a_weak_password_is_no_guess() {
    let api = Api::with(|config| config.limits.failures_per_minute = 2).await;
    let token = api.services.store.joining().setup_token().await.unwrap().unwrap();
    let body = |password: &str| json!({"token": token, "email": "a@b.c", "name": "A", "password": password});
    for _ in 0..5 {
        assert_eq!(api.post("/api/setup", "", &body("short")).await.problem().0, 422);
    }
    let ada = Person::of(&api.post("/api/setup", "", &body(PASSWORD)).await);
    let invited = api
        .post("/api/users/invitations", &ada.token, &json!({"role": "member"}))
        .await
        .json();
    let path = format!("/api/users/invitations/{}/accept", invited["token"].as_str().unwrap());
    let body = |email: &str, password: &str| json!({"name": "B", "email": email, "password": password});
    for _ in 0..3 {
        assert_eq!(api.post(&path, "", &body("b@b.c", "short")).await.problem().0, 422);
        assert_eq!(api.post(&path, "", &body("a@b.c", PASSWORD)).await.problem().0, 409);
    }
    Person::of(&api.post(&path, "", &body("b@b.c", PASSWORD)).await);
}

#[tokio::test]
async fn guessing_one_account_from_everywhere_is_put_off_and_its_owner_is_not() {
    let api = Api::with(|config| config.limits.account_failures_per_minute = 3).await;
    // The address that they log in at is the one that `request` asks from.
    admin(&api).await;
    let from = async |last: u8, password: &str| {
        let mut asked = request(Method::POST, "/api/auth/login", "")
            .header("content-type", "application/json")
            .body(Body::from(log_in("Ada@example.org", password).to_string()))
            .unwrap();
        let peer = std::net::SocketAddr::from(([198, 51, 100, last], 50_000));
        asked.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        api.send(asked).await
    };
    for guesser in 0..3 {
        assert_eq!(from(guesser, "not the password").await.problem().0, 401);
    }
    assert_eq!(from(9, PASSWORD).await.problem(), (429, "too_many_failures".into()));
    let ada = api
        .post("/api/auth/login", "", &log_in("ada@example.org", PASSWORD))
        .await;
    assert_eq!(ada.status, 200, "where they logged in before: {}", ada.text());
}

//! Somebody who calls the API as pages do: with an access token of their own, or with none.

use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::Answer;

/// Outlives the Greffier it calls, which may be killed and started again meanwhile. Without an answer the test fails.
#[derive(Clone, Debug)]
pub struct Caller {
    client: Client,
    url: String,
    access: Option<String>,
}

impl Caller {
    /// Somebody whom nobody knows, who calls `url` (`http://127.0.0.1:8000`).
    pub fn nobody(client: Client, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
            access: None,
        }
    }

    /// The one who has this token.
    #[must_use]
    pub fn with(&self, access: String) -> Self {
        Self {
            access: Some(access),
            ..self.clone()
        }
    }

    /// The one whose access token this answer brings.
    #[must_use]
    #[track_caller]
    pub fn known_by(&self, answer: &Answer) -> Self {
        let access = answer.json()["access_token"].as_str().map(str::to_owned);
        self.with(access.unwrap_or_else(|| panic!("no access token in {}", answer.text())))
    }

    /// Whom they call, e.g. `http://127.0.0.1:20004`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Their access token; empty for nobody.
    pub fn access(&self) -> &str {
        self.access.as_deref().unwrap_or_default()
    }

    /// A request to be changed before it is sent.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.access {
            Some(access) => request.bearer_auth(access),
            None => request,
        }
    }

    /// Asks with a body of JSON.
    #[track_caller]
    pub fn ask(&self, method: Method, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(method, path).json(body)).expect("an answer")
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).expect("an answer")
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, body)
    }

    /// Follows the link that is printed on the first start, and becomes the first administrator, Camille.
    #[track_caller]
    pub fn set_up(&self, link: &str) -> Answer {
        let body = json!({
            "token": link.split("token=").nth(1).expect("a token in the link"),
            "name": "Camille Laurent", "email": "camille@example.org", "password": "correct horse battery",
        });
        self.post("/api/setup", &body)
    }
}

//! An answer of the API.

use anyhow::{Context, Result};
use reqwest::blocking::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// What came back for a request: everything, so that a failed test can show it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// Sends the request.
    pub fn of(request: RequestBuilder) -> Result<Self> {
        let response = request.send().context("no answer")?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().context("the answer was cut off")?.to_vec();
        Ok(Self { status, headers, body })
    }

    /// It has this status.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "often the status is all that counts")]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// It is a refusal as RFC 9457 has it, with this status: typed, titled, and without a word of what is inside.
    #[track_caller]
    pub fn expect_problem(self, status: u16) -> Value {
        let this = self.expect(status);
        assert_eq!(
            this.header("content-type"),
            "application/problem+json",
            "{}",
            this.text()
        );
        let problem = this.json();
        assert_eq!(problem["status"], status, "{problem}");
        for field in ["title", "code"] {
            assert!(
                problem[field].as_str().is_some_and(|text| !text.is_empty()),
                "{problem}"
            );
        }
        problem
    }

    /// Its body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    /// Its body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

//! The server, asked over its API.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::StreamExt as _;
use greffier_agent::livekit::{Grants, LiveKit};
use reqwest::{Client as Http, Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use url::Url;

use crate::config::Config;

/// Where the server is, and how to prove that we may ask it.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// The Greffier server. Without it, the one that the configuration starts.
    #[arg(long, env = "GREFFIER_SERVER", value_name = "URL")]
    server: Option<Url>,
    /// An API key. Without it, a token is made with the configured LiveKit key.
    #[arg(long, env = "GREFFIER_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,
}

pub struct Client {
    http: Http,
    base: Url,
    bearer: String,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Problem {
    detail: String,
}

/// A token of ours needs to last as long as one command's request.
const TOKEN_LIFETIME: Duration = Duration::from_hours(12);

impl Client {
    pub fn new(args: &ServerArgs, config: &Config) -> anyhow::Result<Self> {
        let base = match &args.server {
            Some(url) => url.clone(),
            None => config.api_url()?,
        };
        let bearer = if let Some(key) = &args.api_key {
            key.clone()
        } else {
            let livekit = config
                .livekit()
                .context("no API key is given, and no token can be made")?;
            let grants = Grants {
                room_record: true,
                room_admin: true,
                ..Grants::default()
            };
            LiveKit::new(livekit).token("greffier-cli", "greffier", &grants, TOKEN_LIFETIME)?
        };
        Ok(Self {
            http: Http::builder().connect_timeout(Duration::from_secs(5)).build()?,
            base,
            bearer,
        })
    }

    /// Asks, and reads the answer.
    ///
    /// # Errors
    /// With what the server says, if it refuses.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<T> {
        let answer = self.send(method, path, body).await?;
        let bytes = answer.bytes().await?;
        // 204 has no body; `null` stands for it.
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text).with_context(|| format!("the server's answer to {path} is not understood"))
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(Method::GET, path, None).await
    }

    /// All pages of a list, up to `most` items.
    pub async fn list<T: DeserializeOwned>(&self, path: &str, most: usize) -> anyhow::Result<Vec<T>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let page: Page<T> = self
                .get(&format!("{path}{separator}limit={}{after}", most.clamp(1, 100)))
                .await?;
            items.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() || items.len() >= most {
                items.truncate(most);
                return Ok(items);
            }
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Response> {
        let url = self.base.join(path)?;
        let mut request = self.http.request(method, url).bearer_auth(&self.bearer);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| {
            format!(
                "no server answers at {}; is `greffier serve` running? (--server names another)",
                self.base
            )
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let text = answer.text().await.unwrap_or_default();
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) if status == StatusCode::UNAUTHORIZED => {
                bail!(
                    "{} (give an API key with --api-key or GREFFIER_API_KEY)",
                    problem.detail
                )
            }
            Ok(problem) => bail!("{}", problem.detail),
            Err(_) => bail!("the server answered {status}"),
        }
    }

    /// Fetches a file, and gives it its name once all of it is there. `progress` is told of each piece's bytes.
    pub async fn download(&self, path: &str, to: &Path, mut progress: impl FnMut(u64)) -> anyhow::Result<()> {
        let answer = self.send(Method::GET, path, None).await?;
        let draft = to.with_added_extension("part");
        let failed = || format!("cannot write {}", draft.display());
        let mut file = tokio::fs::File::create(&draft).await.with_context(failed)?;
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.context("the transfer broke off")?;
            file.write_all(&piece).await.with_context(failed)?;
            progress(piece.len() as u64);
        }
        file.sync_all().await.with_context(failed)?;
        tokio::fs::rename(&draft, to)
            .await
            .with_context(|| format!("cannot write {}", to.display()))?;
        Ok(())
    }
}

/// One segment of a path, whatever is in it.
pub fn segment(text: &str) -> String {
    let mut url = Url::parse("http://x/").unwrap_or_else(|_| unreachable!("this is a URL"));
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().push(text);
    }
    url.path().trim_start_matches('/').to_owned()
}

/// A value in a query, whatever is in it.
pub fn query(pairs: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://x/").unwrap_or_else(|_| unreachable!("this is a URL"));
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_one_segment() {
        assert_eq!(segment("../a b?c.webm"), "..%2Fa%20b%3Fc.webm");
        assert_eq!(query(&[("room", "a&b=c")]), "room=a%26b%3Dc");
    }
}

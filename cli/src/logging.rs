//! Logs: one line for each thing that happened, to standard error.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// The `[log]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// What is logged: `info`, or a filter such as `info,greffier_agent=debug`.
    pub level: String,
    /// `text` for people, `json` for collectors.
    pub format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    #[default]
    Text,
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: Format::Text,
        }
    }
}

/// The stack below warns of what is everyday life in a media server; what matters of it reaches us as errors.
const QUIET: &str = "rtc=error,rtc_ice=error,rtc_dtls=error,rtc_sctp=error,rtc_srtp=error,rtc_stun=error,rtc_mdns=error,\
                     rtc_datachannel=error,rtc_interceptor=error,rtc_shared=error,livekit=warn,livekit_api=warn,\
                     sqlx=warn,sea_orm_migration=warn,hyper=warn,tungstenite=warn,tokio_tungstenite=warn";

impl LogConfig {
    fn filter(&self) -> Result<EnvFilter, ParseError> {
        // What is written last counts, so whoever wants to hear the stack can.
        EnvFilter::builder().parse(format!("{QUIET},{}", self.level))
    }

    /// # Errors
    /// When `level` is no filter.
    pub fn check(&self) -> anyhow::Result<()> {
        self.filter()
            .map(drop)
            .with_context(|| format!("`log.level` is `{}`, which is not a filter", self.level))
    }

    /// Logs from now on.
    ///
    /// # Errors
    /// When `level` is no filter.
    pub fn start(&self) -> anyhow::Result<()> {
        self.check()?;
        let terminal = std::io::stderr().is_terminal();
        let logs = tracing_subscriber::fmt()
            .with_env_filter(self.filter()?)
            .with_writer(std::io::stderr)
            .with_ansi(terminal);
        match self.format {
            Format::Text => logs.with_target(false).init(),
            Format::Json => logs.json().flatten_event(true).init(),
        }
        Ok(())
    }
}

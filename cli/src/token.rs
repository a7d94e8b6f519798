//! `greffier token`: a LiveKit token for trying things out.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use greffier_agent::livekit::{Grants, LiveKit};
use serde_json::json;

use crate::config::Config;
use crate::show;

/// Mint a LiveKit token with the configured key, for trying things out: it is printed, and checked by nobody here.
///
/// Exit codes: 0 when it is printed, 1 when there is no key, 2 for wrong arguments.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct Token {
    /// The room that may be entered.
    room: String,
    /// Who enters: an identity that is unique in the room.
    identity: String,
    /// What others see.
    #[arg(long)]
    name: Option<String>,
    /// Minutes until it can no longer be used to enter.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=60 * 24 * 30))]
    minutes: u64,
    /// May listen, not publish.
    #[arg(long)]
    listener: bool,
    /// May moderate the room (`roomAdmin`).
    #[arg(long)]
    admin: bool,
    /// May start and see recordings (`roomRecord`).
    #[arg(long)]
    record: bool,
    /// Print it as JSON, with the server's address.
    #[arg(long)]
    json: bool,
}

impl Token {
    pub fn run(self, config: &Config) -> anyhow::Result<ExitCode> {
        let livekit = LiveKit::new(config.livekit()?);
        let grants = Grants {
            room: Some(self.room),
            join: true,
            publish: !self.listener,
            room_admin: self.admin,
            room_record: self.record,
        };
        let name = self.name.as_deref().unwrap_or(&self.identity);
        let jwt = livekit.token(&self.identity, name, &grants, Duration::from_secs(self.minutes * 60))?;
        if self.json {
            let all = json!({
                "token": jwt,
                "url": livekit.websocket_url(),
                "room": grants.room,
                "identity": self.identity,
                "expires_in_seconds": self.minutes * 60,
            });
            show::line(serde_json::to_string_pretty(&all)?);
        } else {
            show::line(jwt);
        }
        Ok(ExitCode::SUCCESS)
    }
}

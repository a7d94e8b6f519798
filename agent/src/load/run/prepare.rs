//! What is ready before anybody joins: clips, rooms, tokens, and the processes that play.

use std::time::Duration;

use livekit_api::services::room::CreateRoomOptions;
use secrecy::ExposeSecret as _;

use super::{JOINS_PER_SECOND, Run, is_here};
use crate::load::LoadError;
use crate::load::plan::Part;
use crate::load::scenario::Tokens;
use crate::load::server;
use crate::load::worker::WorkerConfig;
use crate::load::workers::Workers;
use crate::synthetic::clip::Clips;

/// A token that another machine is given works so long after the end: whoever is put out late may come back.
const TOKEN_GRACE: Duration = Duration::from_mins(10);
/// Seconds. Whoever cuts a test off leaves empty rooms; they go by themselves.
const EMPTY_ROOM_STAYS: u32 = 60;
/// For a recorder, and for who comes back before the server has noticed that they went.
const SPARE_PLACES: u32 = 20;

impl Run {
    /// Once here, so that the processes find them.
    pub(super) async fn make_clips(&self) -> Result<(), LoadError> {
        let clips = Clips::new(self.options.clips.clone());
        for video in self.scenario.videos() {
            clips.video(&video).await?;
        }
        if self.scenario.has_voices() {
            for voice in 0..Clips::VOICES {
                clips.voice(voice).await?;
            }
        }
        Ok(())
    }

    /// A server on this machine is asked for its own figures, wherever it tells them.
    pub(super) async fn find_figures(&mut self) {
        if self.scenario.server.prometheus.is_none() && is_here(&self.options.server.url) {
            self.scenario.server.prometheus = server::find(&self.options.server.url).await;
        }
    }

    /// The rooms, with place for all: a server that makes them at the first join has a limit of its own. One that does not
    /// let us makes them itself.
    pub(super) async fn make_rooms(&self, rooms: &[String], parts: &[Part]) {
        let Some(livekit) = &self.livekit else { return };
        let mut places = vec![0u32; rooms.len()];
        for part in parts {
            places[part.room as usize] += 1;
        }
        for (room, places) in rooms.iter().zip(places) {
            let options = CreateRoomOptions {
                empty_timeout: EMPTY_ROOM_STAYS,
                departure_timeout: EMPTY_ROOM_STAYS,
                max_participants: places + SPARE_PLACES,
                ..CreateRoomOptions::default()
            };
            if let Err(error) = livekit.room_client().create_room(room, options).await {
                return tracing::warn!(%error, "the rooms of the test cannot be made beforehand");
            }
        }
    }

    /// As asked, but not steeper than is decent.
    pub(super) fn ramp(&self) -> Duration {
        let least = self.scenario.participants_in_all() as f64 / f64::from(JOINS_PER_SECOND);
        self.scenario
            .ramp
            .get()
            .max(Duration::from_secs_f64(least))
            .min(self.scenario.duration.get())
    }

    pub(super) async fn start_workers(&self, rooms: &[String], parts: Vec<Part>) -> Result<Workers, LoadError> {
        let elsewhere = !self.options.machines.is_empty();
        let count = if elsewhere {
            self.options.machines.len()
        } else {
            self.options.workers.max(1)
        };
        let tokens = self.tokens(rooms, &parts)?;
        // A room stays together where there are enough rooms, on one machine in any case: who publishes and who listens
        // then know of one another, and what is sent and what arrives is timed by one clock.
        let by_room = elsewhere || rooms.len() >= count;
        let mut shares: Vec<(Vec<Part>, Vec<Option<String>>)> = vec![Default::default(); count];
        for (n, (part, token)) in parts.into_iter().zip(tokens).enumerate() {
            let share = if by_room { part.room as usize } else { n } % count;
            shares[share].0.push(part);
            shares[share].1.push(token);
        }
        // It stays here: others are given tokens.
        let key = (self.options.has_key && !elsewhere).then(|| {
            let server = &self.options.server;
            (server.api_key.clone(), server.api_secret.expose_secret().to_owned())
        });
        let mut workers = Workers::default();
        for (n, (parts, tokens)) in shares.into_iter().enumerate() {
            let config = WorkerConfig {
                url: self.options.server.url.clone(),
                key: key.clone(),
                scenario: self.scenario.clone(),
                rooms: rooms.to_vec(),
                parts,
                tokens,
                clips: self.options.clips.clone(),
            };
            match self.options.machines.get(n) {
                Some(machine) => workers.call(machine, config, &self.supervisor).await?,
                None => workers.start(&self.options.program, &config).await?,
            }
        }
        workers.wait_until_ready().await?;
        Ok(workers)
    }

    /// One for each part, if it is not minted or fetched by whoever plays it.
    fn tokens(&self, rooms: &[String], parts: &[Part]) -> Result<Vec<Option<String>>, LoadError> {
        let minted_here = !self.options.machines.is_empty() && self.scenario.tokens.is_none();
        let (true, Some(livekit)) = (minted_here, &self.livekit) else {
            return self.listed_tokens(parts.len());
        };
        let lifetime = self.scenario.duration.get() + TOKEN_GRACE;
        let mint = |part: &Part| {
            let room = rooms.get(part.room as usize).map_or("", String::as_str);
            Ok(Some(livekit.synthetic_token(room, &part.identity, lifetime)?))
        };
        parts.iter().map(mint).collect()
    }

    fn listed_tokens(&self, parts: usize) -> Result<Vec<Option<String>>, LoadError> {
        let Some(Tokens::List(path)) = &self.scenario.tokens else {
            return Ok(vec![None; parts]);
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| LoadError::Token(format!("{} cannot be read: {error}", path.display())))?;
        let tokens: Vec<Option<String>> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(|line| Some(line.to_owned()))
            .collect();
        if tokens.len() < parts {
            let (have, path) = (tokens.len(), path.display());
            return Err(LoadError::Token(format!(
                "{path} has {have} tokens for {parts} participants"
            )));
        }
        Ok(tokens)
    }
}

//! A LiveKit server with Greffier beside it, and what their recordings must be like.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::greffier::{Greffier, Recording, RenderedFile, Setup, State};
use crate::judge::{IN_STEP_S, Verdict, judge};
use crate::meeting::PeerTruth;
use crate::network::Network;
use crate::pattern::{Source, Wall};
use crate::process::Deadline;
use crate::server::Server;

/// From the moment a room is empty for as long as configured, or closed, until its recording is sealed: what the product
/// promises.
pub const SEALED_WITHIN_S: f64 = 2.0;
/// Copies of a short meeting take a second; a debug build on a busy machine takes longer.
const COPIED_WITHIN: Duration = Duration::from_mins(1);
/// A room that was empty long enough must be sealed by then, or the wait for it ends.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(40);
/// A file may end so much, in seconds, before or after what was sent last: what the product promises of durations.
const END_S: f64 = crate::judge::DURATION_S;

/// How long a peer's picture lasts, in seconds, at 20 a second: a busy encoder leaves out the first picture of a flash now
/// and then, and the flash begins with the second.
const PICTURE_S: f64 = 0.050;

/// A LiveKit server and a Greffier that it tells of its rooms.
#[derive(Debug)]
pub struct Stage {
    // Dropped first, so that it does not see the server go.
    pub greffier: Greffier,
    pub server: Server,
    empty_timeout: u32,
}

/// Seconds after which an empty room's recording ends, on every stage.
const EMPTY_TIMEOUT: u32 = 2;

impl Stage {
    /// Starts both; every room is recorded unless `change` says otherwise.
    pub fn start(change: impl FnOnce(Setup<'_>) -> Setup<'_>) -> Result<Self> {
        let server = Server::setup().tells_greffier().start()?;
        Self::around(server, change)
    }

    /// The same with Greffier behind a network that may lose packets.
    pub fn behind(network: &Network, change: impl FnOnce(Setup<'_>) -> Setup<'_>) -> Result<Self> {
        let server = Server::setup()
            .address(network.address())
            .tells_greffier_at(network.inner_address())
            .start()?;
        Self::around(server, |setup| change(setup.behind(network)))
    }

    /// The same with a server that a test has set up; it tells Greffier of its rooms.
    pub fn around(server: Server, change: impl FnOnce(Setup<'_>) -> Setup<'_>) -> Result<Self> {
        let setup = Greffier::setup(&server).records("*").empty_timeout(EMPTY_TIMEOUT);
        let greffier = change(setup).start()?;
        Ok(Self {
            greffier,
            server,
            empty_timeout: EMPTY_TIMEOUT,
        })
    }

    /// Waits until a room's only recording is sealed.
    pub fn sealed(&self, room: &str) -> Result<Recording> {
        self.greffier.wait_for_state(room, State::Sealed, GIVEN_UP_AFTER)
    }

    /// Everybody left at `left`: the recording is sealed in time after the room has been empty for as long as configured.
    #[track_caller]
    pub fn expect_sealed_in_time(&self, recording: &Recording, left: Wall) {
        let after = recording.ended().since(left);
        let limit = f64::from(self.empty_timeout) + SEALED_WITHIN_S;
        assert!(
            after <= limit,
            "sealed {after:.2} s after the last one left; {limit} s are allowed"
        );
    }

    /// The copies that are made of a sealed recording without being asked for.
    pub fn copies(&self, recording: &Recording) -> Result<Copies<'_>> {
        let files = self.greffier.wait_for_renders(&recording.id, COPIED_WITHIN)?;
        Ok(Copies {
            greffier: &self.greffier,
            files,
        })
    }

    /// Asks LiveKit something (`RoomService/DeleteRoom`) as an administrator of the room.
    pub fn tell_livekit(&self, call: &str, room: &str, body: &serde_json::Value) -> Result<()> {
        let grants = livekit_api::access_token::VideoGrants {
            room_create: true,
            room_list: true,
            room_admin: true,
            room: room.to_owned(),
            ..Default::default()
        };
        let answer = reqwest::blocking::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()?
            .post(format!("{}/twirp/livekit.{call}", self.server.http_url()))
            .bearer_auth(self.server.token_with("administrator", grants)?)
            .json(body)
            .send()?;
        let status = answer.status();
        anyhow::ensure!(status.is_success(), "{call}: {status} {}", answer.text()?);
        Ok(())
    }
}

/// The files of a recording that were copied from its tracks.
#[derive(Debug)]
pub struct Copies<'a> {
    greffier: &'a Greffier,
    pub files: Vec<RenderedFile>,
}

/// One of them, fetched and compared with what its participant did.
#[derive(Debug)]
pub struct Copy {
    pub path: PathBuf,
    pub verdict: Verdict,
    /// When its participant's last frame or picture was sent.
    last: Wall,
}

impl Copies<'_> {
    /// Names of the copied files, sorted.
    pub fn names(&self) -> Vec<&str> {
        let renders = self.files.iter().filter(|file| file.part == "render");
        let mut names: Vec<&str> = renders.map(|file| &*file.name).collect();
        names.sort_unstable();
        names
    }

    /// Fetches a file and compares it with what a peer did.
    pub fn of(&self, name: &str, peer: &PeerTruth) -> Result<Copy> {
        let path = self.greffier.fetch(&self.files, name)?;
        let verdict = judge(&path)?.against(peer);
        let shares = name.contains(".screen-");
        let shown = |source| matches!(source, Source::ScreenShare | Source::ScreenShareAudio) == shares;
        let takes = peer.takes.iter().filter(|take| shown(take.source));
        let last = takes.map(|take| take.last).max_by(|a, b| a.0.total_cmp(&b.0));
        Ok(Copy {
            path,
            verdict,
            last: last.with_context(|| format!("{} published nothing like {name}", peer.identity))?,
        })
    }
}

impl Copy {
    /// It is what its participant heard and showed, all of it, in step, and nothing else.
    #[track_caller]
    pub fn expect_perfect(&self) -> &Self {
        let verdict = &self.verdict;
        if verdict.beeps.is_some() {
            verdict.expect_all_beeps().expect_quiet_gaps();
        }
        if verdict.flashes.is_some() {
            verdict.expect_all_flashes().expect_no_freeze();
        }
        if verdict.beeps.is_some() && verdict.flashes.is_some() {
            self.expect_in_step();
        }
        verdict.expect_nobody_else().expect_clean_decoding();
        self.expect_end()
    }

    /// Sound and picture are in step: as a rule within what the product promises, and never by more than one picture besides.
    #[track_caller]
    pub fn expect_in_step(&self) -> &Self {
        if let Some((median, _)) = self.verdict.median_and_worst_lag() {
            assert!(
                median.abs() <= IN_STEP_S,
                "out of step by {median:.3} s\n{}",
                self.verdict
            );
        }
        self.verdict.expect_in_step_within(IN_STEP_S + PICTURE_S);
        self
    }

    /// It ends with what was sent last.
    #[track_caller]
    pub fn expect_end(&self) -> &Self {
        let end = self
            .verdict
            .wall(self.verdict.ends)
            .expect("something tells when it begins");
        let late = end.since(self.last);
        assert!(
            late.abs() <= END_S,
            "it ends {late:.3} s after what was sent last\n{}",
            self.verdict
        );
        self
    }
}

/// Waits for something that only looking tells.
///
/// # Errors
/// When it has not come in time; `what` says what was waited for.
pub fn wait_for<T>(what: &str, within: Duration, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    crate::greffier::eventually(Deadline::within(within), look)?
        .with_context(|| format!("{what} did not come within {within:?}"))
}

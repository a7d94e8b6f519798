//! What a scenario says that cannot be.

use std::path::Path;
use std::time::Duration;

use greffier_media::codec::Codec;

use super::place::Place;
use super::{Churn, Count, Group, Scenario, Tokens, has_simulcast};

/// One machine does not play more.
const MOST_PARTICIPANTS: u64 = 20_000;

/// What is wrong, and where it stands.
pub(super) struct Wrong {
    pub place: Place,
    pub message: String,
}

impl Wrong {
    fn key(key: &'static str, message: impl Into<String>) -> Self {
        let place = Place { group: None, key };
        Self {
            place,
            message: message.into(),
        }
    }

    fn group(group: usize, key: &'static str, message: String) -> Self {
        let place = Place {
            group: Some(group),
            key,
        };
        Self { place, message }
    }
}

impl Scenario {
    /// What no single field can tell.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        if self.participants.is_empty() {
            return Err(Wrong::key("participants", "there are no participants"));
        }
        if let Some(recording) = &self.recording {
            self.check_recording(recording)?;
        }
        if self.duration.get() < Duration::from_secs(1) {
            let message = format!("a test of {} measures nothing; a second is the least", self.duration);
            return Err(Wrong::key("duration", message));
        }
        if self.ramp > self.duration {
            let message = format!("the ramp ({}) is longer than the test ({})", self.ramp, self.duration);
            return Err(Wrong::key("ramp", message));
        }
        if self.freeze.get().is_zero() {
            return Err(Wrong::key("freeze", "every gap would be a freeze"));
        }
        if self.conversation.turn.get().is_zero() {
            return Err(Wrong::key("turn", "a turn has a length"));
        }
        let all = self.participants_in_all();
        if all > MOST_PARTICIPANTS {
            let message = format!("{all} participants are more than {MOST_PARTICIPANTS}");
            return Err(Wrong::key("participants", message));
        }
        if let Some(Tokens::List(path)) = &self.tokens
            && !path.is_file()
        {
            let message = format!("there is no list of tokens {}", path.display());
            return Err(Wrong::key("list", message));
        }
        for (n, group) in self.participants.iter().enumerate() {
            group.check().map_err(|(key, message)| Wrong::group(n, key, message))?;
            if let Some(other) = self.participants[..n].iter().position(|other| other.role == group.role) {
                let message = format!(
                    "`{}` is the role of group {} already, and identities would be the same",
                    group.role,
                    other + 1
                );
                return Err(Wrong::group(n, "role", message));
            }
        }
        Ok(())
    }

    fn check_recording(&self, recording: &Path) -> Result<(), Wrong> {
        if !recording.is_dir() {
            let message = format!("there is no recording in {}", recording.display());
            return Err(Wrong::key("recording", message));
        }
        let plain = |g: &Group| {
            g.camera.is_none() && g.microphone.is_none() && g.screen.is_none() && g.churn == Churn::default()
        };
        match &self.participants[..] {
            [one] if one.count == Count::ONE && plain(one) => Ok(()),
            _ => Err(Wrong::key(
                "participants",
                "with a recording there is one group, of one, which publishes nothing of its own",
            )),
        }
    }
}

impl Group {
    /// The key that is wrong, and why.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.role.is_empty() || self.role.len() > 32 || !self.role.chars().all(allowed) {
            let message = format!("`{}` is no role: letters, digits, - and _, up to 32", self.role);
            return Err(("role", message));
        }
        if let Some(camera) = &self.camera {
            if let Some(clip) = &camera.clip
                && !clip.is_file()
            {
                return Err(("clip", format!("there is no clip {}", clip.display())));
            }
            if camera.codec == Codec::Opus {
                return Err(("codec", "opus is no codec of pictures".to_owned()));
            }
            if camera.simulcast == Some(true) && !has_simulcast(camera.codec) {
                let rule = "the server takes its streams for SVC, so that nobody would see a picture";
                return Err(("simulcast", format!("{} has no simulcast: {rule}", camera.codec)));
            }
        }
        if self.screen.as_ref().is_some_and(|screen| screen.codec == Codec::Opus) {
            return Err(("screen", "opus is no codec of pictures".to_owned()));
        }
        Ok(())
    }
}

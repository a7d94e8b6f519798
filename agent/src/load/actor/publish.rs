//! What a participant sends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use greffier_media::codec::Dims;
use livekit::prelude::TrackSource;

use super::Actor;
use crate::load::stage::{Publication, now, source_name};
use crate::synthetic::clip::VideoSpec;
use crate::synthetic::participant::{self, Participant};
use crate::synthetic::recorded::RecordedTrack;
use crate::synthetic::{Sent, SyntheticError};

/// A publication as those who receive it are to know it, but for whose it is.
struct Sending {
    source: TrackSource,
    sent: Arc<Sent>,
    layers: Vec<Dims>,
    from: Instant,
    person: Option<usize>,
}

impl Actor {
    pub(super) async fn publish(&self, participant: &mut Participant) -> Result<(), SyntheticError> {
        let group = self.group();
        if let Some(microphone) = &group.microphone {
            let voice = self.stage.clips.voice(u32::try_from(self.index).unwrap_or(0)).await?;
            let from = now();
            let feed = participant.publish_voice(voice, from, microphone.dtx).await?;
            feed.set_speaking(self.speaking);
            self.publishes(
                participant,
                Sending {
                    source: TrackSource::Microphone,
                    sent: feed.sent,
                    layers: Vec::new(),
                    from,
                    person: None,
                },
            );
            if self.muted {
                participant.set_muted(TrackSource::Microphone, true);
            }
        }
        if group.camera.is_some() {
            self.publish_camera(participant).await?;
        }
        if let Some(screen) = &group.screen {
            self.publish_clip(TrackSource::Screenshare, &screen.video(), Duration::ZERO, participant)
                .await?;
        }
        for number in self.on_air.clone() {
            self.publish_recorded(number, participant).await;
        }
        Ok(())
    }

    fn publishes(&self, participant: &Participant, sending: Sending) {
        let publication = Publication {
            identity: participant.identity().to_owned(),
            source: source_name(sending.source),
            sent: sending.sent,
            layers: sending.layers,
            from: sending.from,
            until: None,
            person: sending.person.map(|person| (person, self.meeting_begins())),
        };
        self.stage.publishes(self.part.room, publication);
    }

    fn meeting_begins(&self) -> Instant {
        self.start.into_std() + self.part.meeting
    }

    fn recorded(&self, number: usize) -> Option<Arc<RecordedTrack>> {
        let person = self.stage.meeting.as_ref()?.people.get(self.part.person?)?;
        person.tracks.get(number).cloned()
    }

    pub(super) async fn publish_recorded(&self, number: usize, participant: &mut Participant) {
        let Some(track) = self.recorded(number) else { return };
        let (from, layers) = (now(), vec![track.dims]);
        match participant.publish_recorded(number, track, self.meeting_begins()).await {
            Ok((source, feed)) => {
                if self.silenced.contains(&number) {
                    participant.set_recorded_muted(number, true);
                }
                self.publishes(
                    participant,
                    Sending {
                        source,
                        sent: feed.sent,
                        layers,
                        from,
                        person: self.part.person,
                    },
                );
            }
            Err(error) => self.stage.error(error.word(), &error.to_string()),
        }
    }

    pub(super) async fn unpublish_recorded(&self, number: usize, participant: &mut Participant) {
        if let Some(track) = self.recorded(number) {
            let source = source_name(participant::source_of(&track));
            self.stage
                .unpublishes(self.part.room, participant.identity(), Some(source));
        }
        participant.unpublish_recorded(number).await;
    }

    pub(super) async fn publish_camera(&self, participant: &mut Participant) -> Result<(), SyntheticError> {
        let Some(camera) = &self.group().camera else {
            return Ok(());
        };
        // Not all on the same millisecond.
        let apart = Duration::from_micros(self.part.seed % 33_000);
        self.publish_clip(TrackSource::Camera, &camera.video(), apart, participant)
            .await
    }

    /// Its first frame is due `apart` from now.
    async fn publish_clip(
        &self,
        source: TrackSource,
        video: &VideoSpec,
        apart: Duration,
        participant: &mut Participant,
    ) -> Result<(), SyntheticError> {
        let clip = self.stage.clips.video(video).await?;
        let (from, layers) = (now(), clip.layers.iter().map(|layer| layer.spec.dims).collect());
        let feed = participant.publish_video(clip, from + apart).await?;
        self.publishes(
            participant,
            Sending {
                source,
                sent: feed.sent,
                layers,
                from,
                person: None,
            },
        );
        Ok(())
    }
}

//! Whether a video track can be seen: from its first packets on, and again after what does not come in time. Where it
//! cannot, a key frame is asked for (RFC 4585 §6.3.1), as whoever decodes it would.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use greffier_media::codec::{Codec, Dims};
use greffier_media::depacketize::{announced_dims, begins_keyframe};
use greffier_media::time::Arrival;
use parking_lot::Mutex;

/// A server sends a key frame first; it may come out of order.
const ASK_AFTER: Duration = Duration::from_millis(250);
/// A key frame costs the publisher's link as much as a second of pictures: who does not answer is asked less and less often.
const ASK_AGAIN_AFTER_AT_MOST: Duration = Duration::from_secs(8);

/// What the packets of a track tell of its key frames, on the thread that they come on.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyFrames(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    begun: AtomicU64,
    measures: bool,
    /// The RTP timestamp of the newest that told its size, and the size of its largest layer.
    size: Mutex<Option<(u32, Dims)>>,
}

impl KeyFrames {
    /// `measures` tells whether anybody wants to know their size.
    pub fn new(measures: bool) -> Self {
        Self(Arc::new(Told {
            measures,
            ..Told::default()
        }))
    }

    /// Takes note of what a packet with this RTP timestamp tells, if it begins one or says how large it is.
    pub fn packet(&self, codec: Codec, timestamp: u32, payload: &[u8]) {
        if begins_keyframe(codec, payload) {
            self.0.begun.fetch_add(1, Ordering::Relaxed);
        }
        if self.0.measures
            && let Some(dims) = announced_dims(codec, payload)
        {
            self.measured(timestamp, dims);
        }
    }

    fn measured(&self, timestamp: u32, dims: Dims) {
        let mut size = self.0.size.lock();
        let larger = size.filter(|(of, known)| *of == timestamp && known.width >= dims.width);
        *size = larger.or(Some((timestamp, dims)));
    }

    fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// The size of the newest key frame, in luma samples, if sizes are measured.
    pub(super) fn size(&self) -> Option<Dims> {
        self.0.size.lock().map(|(_, dims)| dims)
    }

    /// What was measured so far tells nothing of what comes from now on.
    pub(super) fn forget_size(&self) {
        *self.0.size.lock() = None;
    }
}

/// What is known of one track's pictures.
#[derive(Debug)]
pub(super) struct Pictures {
    key_frames: KeyFrames,
    /// Set while nothing can be seen.
    wanted: Option<Wanted>,
    /// Packets that were received, and those that did not come in time.
    packets: u64,
    overdue: u64,
    /// Packets of those that are missing still.
    gone: u64,
}

#[derive(Debug)]
struct Wanted {
    /// So many key frames do not help: they began before.
    begun: u64,
    ask_at: Arrival,
    wait: Duration,
    /// So many packets were gone before: when no others are missing any more, a key frame is not wanted any more. `None` if
    /// nothing but a key frame helps.
    gone: Option<u64>,
}

impl Wanted {
    fn new(begun: u64, ask_at: Arrival, gone: Option<u64>) -> Self {
        Self {
            begun,
            ask_at,
            wait: ASK_AFTER,
            gone,
        }
    }
}

impl Pictures {
    pub fn key_frames(&self) -> &KeyFrames {
        &self.key_frames
    }

    pub fn new(key_frames: KeyFrames, now: Arrival) -> Self {
        Self {
            key_frames,
            wanted: Some(Wanted::new(0, now.saturating_add(ASK_AFTER), None)),
            packets: 0,
            overdue: 0,
            gone: 0,
        }
    }

    /// What comes from now on has to begin with a key frame, which is asked for now: if it gets lost, so again.
    pub fn begin_again(&mut self, now: Arrival) {
        self.wanted = Some(Wanted::new(
            self.key_frames.begun(),
            now.saturating_add(ASK_AFTER),
            None,
        ));
    }

    /// Whether a key frame is to be asked for now. `packets` have been received so far, and `overdue` did not come in time, of
    /// which some `came` later.
    pub fn look(&mut self, now: Arrival, packets: u64, overdue: u64, came: u64) -> bool {
        let is_sent = packets > self.packets;
        self.packets = packets;
        let begun = self.key_frames.begun();
        self.wanted.take_if(|wanted| begun > wanted.begun);
        if overdue > self.overdue {
            self.overdue = overdue;
            self.wanted.get_or_insert(Wanted::new(begun, now, Some(self.gone)));
        }
        self.gone = overdue - came;
        let gone = self.gone;
        self.wanted
            .take_if(|wanted| wanted.gone.is_some_and(|before| gone <= before));
        let Some(wanted) = &mut self.wanted else { return false };
        // Of a track that is muted, or that the server holds back, nothing comes because it is asked for.
        if !is_sent || now < wanted.ask_at {
            return false;
        }
        wanted.wait = (wanted.wait * 2).min(ASK_AGAIN_AFTER_AT_MOST);
        wanted.ask_at = now.saturating_add(wanted.wait);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl KeyFrames {
        fn begin(&self) {
            self.0.begun.fetch_add(1, Ordering::Relaxed);
        }
    }

    const TICK: Duration = Duration::from_millis(250);

    /// Looks four times a second at a track that sends all the time; answers when it was asked, in looks.
    fn asked(pictures: &mut Pictures, from: Arrival, looks: u32, (overdue, came): (u64, u64)) -> Vec<u32> {
        (1..=looks)
            .filter(|&look| {
                let packets = pictures.packets + 10;
                pictures.look(from.saturating_add(TICK * look), packets, overdue, came)
            })
            .collect()
    }

    /// A track that has just begun, and what its packets tell.
    fn track() -> (KeyFrames, Arrival, Pictures) {
        let (key_frames, now) = (KeyFrames::default(), Arrival::from_nanos(1));
        (key_frames.clone(), now, Pictures::new(key_frames, now))
    }

    #[test]
    fn a_track_that_begins_with_a_key_frame_is_left_alone() {
        let (key_frames, now, mut pictures) = track();
        key_frames.begin();
        assert!(asked(&mut pictures, now, 100, (0, 0)).is_empty());
    }

    #[test]
    fn until_a_key_frame_begins_it_is_asked_for_less_and_less_often() {
        let (key_frames, now, mut pictures) = track();
        assert_eq!(asked(&mut pictures, now, 100, (0, 0)), [1, 3, 7, 15, 31, 63, 95]);
        key_frames.begin();
        assert!(asked(&mut pictures, now.saturating_add(TICK * 100), 100, (0, 0)).is_empty());
    }

    #[test]
    fn what_does_not_come_in_time_asks_for_another() {
        let (key_frames, now, mut pictures) = track();
        key_frames.begin();
        assert!(asked(&mut pictures, now, 4, (0, 0)).is_empty());
        assert_eq!(asked(&mut pictures, now.saturating_add(TICK * 4), 2, (3, 0)), [1]);
        key_frames.begin();
        assert!(asked(&mut pictures, now.saturating_add(TICK * 6), 100, (3, 0)).is_empty());
    }

    #[test]
    fn what_comes_late_is_waited_for_no_longer() {
        let (key_frames, now, mut pictures) = track();
        key_frames.begin();
        // One is lost for good, and a key frame follows.
        assert_eq!(asked(&mut pictures, now, 1, (1, 0)), [1]);
        key_frames.begin();
        // Another one comes late: nothing more is asked for.
        assert_eq!(asked(&mut pictures, now.saturating_add(TICK * 4), 1, (2, 0)), [1]);
        let later = now.saturating_add(TICK * 5);
        assert!(asked(&mut pictures, later, 100, (2, 1)).is_empty());
        // So the next that does not come has not to wait for its turn.
        assert_eq!(asked(&mut pictures, later.saturating_add(TICK), 1, (3, 1)), [1]);
    }

    #[test]
    fn of_what_sends_nothing_nothing_is_asked() {
        let now = Arrival::from_nanos(1);
        let mut pictures = Pictures::new(KeyFrames::default(), now);
        assert!((1..100).all(|look| !pictures.look(now.saturating_add(TICK * look), 0, 0, 0)));
    }

    #[test]
    fn a_picture_is_as_large_as_its_largest_layer() {
        let key_frames = KeyFrames::default();
        for (timestamp, width, height) in [(1, 640, 360), (2, 160, 90), (2, 320, 180), (2, 160, 90)] {
            key_frames.measured(timestamp, Dims::new(width, height));
        }
        assert_eq!(key_frames.size(), Some(Dims::new(320, 180)));
        key_frames.forget_size();
        assert_eq!(key_frames.size(), None);
    }

    #[test]
    fn after_a_pause_the_key_frames_of_before_do_not_count() {
        let (key_frames, now, mut pictures) = track();
        key_frames.begin();
        assert!(asked(&mut pictures, now, 4, (0, 0)).is_empty());
        pictures.begin_again(now);
        assert_eq!(asked(&mut pictures, now, 4, (0, 0)), [1, 3]);
    }
}

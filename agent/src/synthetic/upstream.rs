//! Which holes at a subscriber are the doing of the publisher's own bad network.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use greffier_media::codec::Dims;

use super::Sent;
use super::reception::PATIENCE;

/// A loss on the publisher's way up is seen here within this time as a hole, if the server forwarded that layer at all.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

/// The sending end of a track. What is lost there on purpose comes as a hole to whoever is forwarded that layer at the
/// time, and to nobody else: so each loss is looked at as it happens, and explains a hole only if one follows.
#[derive(Debug, Clone)]
pub struct Upstream {
    sent: Arc<Sent>,
    /// From the largest down.
    layers: Vec<Dims>,
    /// The layer that is forwarded, and what it had lost when this was last looked at.
    seen: Option<(usize, u64)>,
    /// Losses of late that no hole has been put down to.
    recent: VecDeque<(Instant, u64)>,
}

impl Upstream {
    pub fn new(sent: Arc<Sent>, layers: Vec<Dims>) -> Self {
        Self {
            sent,
            layers,
            seen: None,
            recent: VecDeque::new(),
        }
    }

    /// Looks at what was lost; a packet of pictures of this size has just come.
    pub(super) fn look(&mut self, now: Instant, dims: Option<Dims>) {
        let layer = dims
            .and_then(|dims| self.layers.iter().position(|layer| *layer == dims))
            .unwrap_or(0);
        let lost = self.sent.lost.get(layer).map_or(0, |lost| lost.load(Ordering::Relaxed));
        if let Some((before, count)) = self.seen
            && before == layer
            && lost > count
        {
            self.recent.push_back((now, lost - count));
        }
        self.seen = Some((layer, lost));
        while self
            .recent
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > SEEN_WITHIN + PATIENCE)
        {
            self.recent.pop_front();
        }
    }

    /// Nothing is forwarded for a while: what is lost meanwhile concerns nobody here.
    pub(super) fn pause(&mut self) {
        self.seen = None;
    }

    /// How many of `packets` that are missing before what came at `at` were lost on the way up.
    pub(super) fn explain(&mut self, packets: u64, at: Instant) -> u64 {
        let mut left = packets;
        for (seen, count) in &mut self.recent {
            if *seen <= at && at.saturating_duration_since(*seen) <= SEEN_WITHIN {
                let part = left.min(*count);
                *count -= part;
                left -= part;
            }
        }
        self.recent.retain(|(_, count)| *count > 0);
        packets - left
    }
}

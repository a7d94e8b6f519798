//! What is known of an outage, and when it is the end.

use std::time::Duration;

use greffier_media::journal::event::{GapCause, RoomEvent, StopReason};
use greffier_media::time::Arrival;

use crate::livekit::Presence;

/// Being out of the room, and what is known of why.
pub(super) struct Outage {
    /// When the last was kept.
    last: Arrival,
    cause: GapCause,
    /// Since when the server has answered that nobody is in the room.
    missing_since: Option<Arrival>,
    server_was_down: bool,
}

/// A server that answers, was never seen to be down, and tells of nobody in the room for this long, has seen it end. Whoever
/// is on the way in may not be in its lists yet.
const ROOM_GONE_AFTER: Duration = Duration::from_secs(4);

impl Outage {
    pub fn connection(last: Arrival) -> Self {
        Self {
            last,
            cause: GapCause::Connection,
            missing_since: None,
            server_was_down: false,
        }
    }

    pub fn restart(last: Arrival) -> Self {
        Self {
            cause: GapCause::Restart,
            ..Self::connection(last)
        }
    }

    pub fn server_was_down(&mut self) {
        self.server_was_down = true;
        if self.cause == GapCause::Connection {
            self.cause = GapCause::Server;
        }
    }

    /// The server does not know the room, or nobody in it: whether that is the end.
    pub fn nobody_there(&mut self, seen: Presence, now: Arrival) -> Option<StopReason> {
        let since = *self.missing_since.get_or_insert(now);
        if self.server_was_down {
            return None;
        }
        // A room that we recorded before the restart is known, or has ended.
        let at_once = self.cause == GapCause::Restart && seen == Presence::NoRoom;
        (at_once || now.saturating_since(since) >= ROOM_GONE_AFTER).then(|| self.in_the_end())
    }

    /// Waiting was in vain.
    pub fn in_the_end(&self) -> StopReason {
        match self.cause {
            GapCause::Restart => StopReason::Recovered,
            _ => StopReason::RoomClosed,
        }
    }

    pub fn gap(&self, to: Arrival) -> RoomEvent {
        // A restart has a gap of its own, from the last that was kept to the start of this process.
        let reason = if self.cause == GapCause::Restart {
            GapCause::Connection
        } else {
            self.cause
        };
        RoomEvent::Gap {
            from: self.last,
            to,
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Arrival = Arrival::ZERO;

    fn after(seconds: u64) -> Arrival {
        START.saturating_add(Duration::from_secs(seconds))
    }

    #[test]
    fn a_room_that_is_gone_after_a_restart_is_given_up_at_once() {
        let mut outage = Outage::restart(START);
        assert_eq!(
            outage.nobody_there(Presence::NoRoom, START),
            Some(StopReason::Recovered)
        );
    }

    #[test]
    fn a_room_whose_people_are_not_listed_yet_is_not() {
        let mut outage = Outage::restart(START);
        assert_eq!(outage.nobody_there(Presence::Nobody, START), None);
        assert_eq!(outage.nobody_there(Presence::Nobody, after(3)), None);
        assert_eq!(
            outage.nobody_there(Presence::Nobody, after(4)),
            Some(StopReason::Recovered)
        );
    }

    #[test]
    fn a_server_that_was_down_is_given_time() {
        for mut outage in [Outage::restart(START), Outage::connection(START)] {
            outage.server_was_down();
            assert_eq!(outage.nobody_there(Presence::NoRoom, START), None);
            assert_eq!(outage.nobody_there(Presence::NoRoom, after(60)), None);
        }
        let mut outage = Outage::connection(START);
        assert_eq!(outage.nobody_there(Presence::NoRoom, START), None);
        assert_eq!(
            outage.nobody_there(Presence::NoRoom, after(4)),
            Some(StopReason::RoomClosed)
        );
    }
}

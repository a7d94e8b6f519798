//! The table: who may ask for what.

use super::world::Shown;
use crate::config::Scope;
use Scope::{Admin, RecordingsRead, RecordingsWrite, RoomsRead, RoomsWrite, Tokens};
use Scoped::{AnyKey, Needs, NoKey};

/// What somebody is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// `x`: neither 401 nor 403, and no fault of the request.
    May,
    /// `.`: 403; 401 for whoever shows nothing, or nothing that counts.
    MayNot,
    /// `.` of those, and `u`: 401.
    Unknown,
    /// `h`: 404, so that nobody learns what is there.
    Hidden,
}

/// What an API key of the operator's is to have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scoped {
    /// This scope, or `admin`; all others together do not do.
    Needs(Scope),
    AnyKey,
    /// It is for people: no key gets more than this.
    NoKey(Cell),
}

/// One operation, or one way of asking for it.
#[derive(Debug)]
pub(super) struct Row {
    /// As the OpenAPI document has it; more words tell ways of asking apart.
    pub name: &'static str,
    cells: &'static str,
    pub scope: Scoped,
    /// What whoever may is answered because this world has no such thing.
    pub lacks: Option<u16>,
}

impl Row {
    pub(super) fn operation(&self) -> &'static str {
        self.name.split(' ').next().unwrap_or_default()
    }

    /// One for each of [`CALLERS`], and one for whatever is shown and does not count.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let letters: Vec<char> = self.cells.chars().filter(|letter| *letter != ' ').collect();
        let last = letters.len() - 1;
        let cells = letters.iter().enumerate().map(|(place, letter)| match letter {
            'x' => Cell::May,
            '.' if place == 0 || place == last => Cell::Unknown,
            '.' => Cell::MayNot,
            'u' => Cell::Unknown,
            'h' => Cell::Hidden,
            other => panic!("{}: `{other}`", self.name),
        });
        cells.collect()
    }

    const fn lacking(mut self, status: u16) -> Self {
        self.lacks = Some(status);
        self
    }
}

const fn row(name: &'static str, cells: &'static str, scope: Scoped) -> Row {
    Row {
        name,
        cells,
        scope,
        lacks: None,
    }
}

/// The columns; after them comes what is expired, forged or unheard of. Accounts that other applications vouch for are
/// strangers to the room.
pub(super) const CALLERS: [Shown; 9] = [
    Shown::Nothing,
    Shown::Guest,
    Shown::Stranger,
    Shown::Member,
    Shown::Moderator,
    Shown::Owner,
    Shown::Administrator,
    Shown::RoomAdmin,
    Shown::RoomRecord,
];

const PEOPLE: Scoped = NoKey(Cell::MayNot);

/// `n` nobody, `g` a guest of the room · what an account is to the room: `s` nothing, `m` member, `M` moderator, `o`
/// owner, `a` nothing, but administrator · `LiveKit` tokens: `A` `roomAdmin` of the room, `R` `roomRecord` · `b` what does
/// not count.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    //                                       ng smMoa AR b
    row("list_audit",                       ".. ....x .. .", Needs(Admin)),
    row("list_jobs",                        ".. ....x .. .", Needs(Admin)),
    row("get_overview",                     ".. ....x .. .", Needs(Admin)),
    row("list_live_rooms",                  ".. ....x .. .", Needs(Admin)),
    row("get_settings",                     ".. ....x .. .", Needs(Admin)),
    row("update_settings",                  ".. ....x .. .", Needs(Admin)),
    row("get_storage",                      ".. ....x .. .", Needs(Admin)),
    row("list_users",                       ".. ....x .. .", Needs(Admin)),
    row("create_user",                      ".. ....x .. .", Needs(Admin)),
    row("update_user",                      ".. ....x .. .", Needs(Admin)),
    row("delete_user",                      ".. ....x .. .", Needs(Admin)),
    row("list_user_invitations",            ".. ....x .. .", Needs(Admin)),
    row("withdraw_user_invitation",         ".. ....x .. .", Needs(Admin)),
    // Whoever is invited is told by whom.
    row("invite_user",                      ".. ....x .. .", PEOPLE),
    row("list_load_tests",                  ".. ....x .. .", Needs(Admin)),
    row("start_load_test",                  ".. ....x .. .", Needs(Admin)),
    row("get_load_test",                    ".. ....x .. .", Needs(Admin)),
    row("follow_load_test",                 ".. ....x .. .", Needs(Admin)),
    row("read_load_test_report",            ".. ....x .. .", Needs(Admin)).lacking(404),
    row("read_load_test_result",            ".. ....x .. .", Needs(Admin)).lacking(404),
    row("read_load_test_junit",             ".. ....x .. .", Needs(Admin)).lacking(404),
    row("stop_load_test",                   ".. ....x .. .", Needs(Admin)),
    // It takes a WebSocket.
    row("play_load_test",                   ".. ....x .. .", Needs(Admin)).lacking(426),
    row("metrics",                          ".. ....x .. .", Needs(Admin)).lacking(404),

    // Doors: what opens them is in the request itself.
    row("set_up",                           "xx xxxxx xx x", AnyKey),
    row("log_in",                           "xx xxxxx xx x", AnyKey),
    row("refresh_session",                  "xx xxxxx xx x", AnyKey),
    row("refresh_session without a cookie", "uu uuuuu uu u", NoKey(Cell::Unknown)),
    row("log_out",                          "xx xxxxx xx .", AnyKey),
    row("get_user_invitation",              "xx xxxxx xx x", AnyKey),
    row("get_user_invitation made up",      "hh hhhhh hh h", NoKey(Cell::Hidden)),
    row("accept_user_invitation",           "xx xxxxx xx x", AnyKey),
    row("get_invitation",                   "xx xxxxx xx .", AnyKey),
    row("get_invitation made up",           "hh hhhhh hh .", NoKey(Cell::Hidden)),
    row("poll_waiting",                     "xx xxxxx xx x", AnyKey),
    row("poll_waiting of somebody else",    "hh hhhhh hh h", NoKey(Cell::Hidden)),
    row("read_calendar",                    "xx xxxxx xx x", AnyKey),
    row("read_calendar by a made-up key",   "uu uuuuu uu u", NoKey(Cell::Unknown)),
    row("livekit_webhook",                  "uu uuuuu uu .", NoKey(Cell::Unknown)),
    row("get_config",                       "xx xxxxx xx x", AnyKey),
    row("health",                           "xx xxxxx xx x", AnyKey),
    row("ready",                            "xx xxxxx xx x", AnyKey),

    // One's own.
    row("get_me",                           ".. xxxxx .. .", PEOPLE),
    row("update_me",                        ".. xxxxx .. .", PEOPLE),
    row("log_out_everywhere",               ".. xxxxx .. .", PEOPLE),
    row("make_calendar_key",                ".. xxxxx .. .", PEOPLE),
    row("list_keys",                        ".. xxxxx .. .", PEOPLE),
    row("create_key",                       ".. xxxxx .. .", PEOPLE),
    row("revoke_key of the member",         ".. hxhhx .. .", PEOPLE),
    row("list_notifications",               ".. xxxxx .. .", PEOPLE),
    row("mark_notifications_read",          ".. xxxxx .. .", PEOPLE),
    row("subscribe_push",                   ".. xxxxx .. .", PEOPLE),
    row("unsubscribe_push",                 ".. xxxxx .. .", PEOPLE),
    row("follow_events",                    ".x xxxxx xx .", AnyKey),

    // Lists: of what one may see.
    row("list_contacts",                    ".. xxxxx .. .", Needs(RoomsWrite)),
    row("list_rooms",                       ".x xxxxx x. .", Needs(RoomsRead)),
    row("list_calls",                       ".. xxxxx x. .", Needs(RoomsRead)),
    row("get_statistics",                   ".. xxxxx .. .", Needs(RoomsRead)),
    row("list_recordings",                  ".. xxxxx xx .", Needs(RecordingsRead)),

    // The room.
    row("create_room",                      ".. xxxxx .. .", Needs(RoomsWrite)),
    row("get_room",                         ".x .xxxx x. .", Needs(RoomsRead)),
    row("get_call",                         ".. .xxxx x. .", Needs(RoomsRead)),
    row("list_call_events",                 ".. .xxxx x. .", Needs(RoomsRead)),
    row("read_room_calendar",               ".x .xxxx x. .", Needs(RoomsRead)),
    row("list_chat",                        ".x .xxxx x. .", Needs(RoomsRead)),
    // Said by whoever is in the call.
    row("write_chat",                       ".x .xxxx .. .", PEOPLE),
    row("add_quality",                      ".x .xxxx .. .", PEOPLE),
    row("leave_room",                       ".x .xxxx .. .", PEOPLE),
    row("update_room",                      ".. ...xx .. .", Needs(RoomsWrite)),
    row("set_room_role",                    ".. ...xx .. .", Needs(RoomsWrite)),
    row("remove_member",                    ".. ...xx .. .", Needs(RoomsWrite)),
    row("end_room",                         ".. ...xx .. .", Needs(RoomsWrite)),
    row("join_room",                        ".. .xxxx .. .", PEOPLE),
    row("join_room by invitation",          "x. xxxxx .. .", PEOPLE),
    row("livekit_token",                    ".. .xxxx .. .", Needs(Tokens)),
    row("livekit_token for somebody else",  ".. ....x .. .", Needs(Tokens)),
    row("list_invitations",                 ".. ..xxx .. .", Needs(RoomsWrite)),
    row("create_invitation",                ".. ..xxx .. .", Needs(RoomsWrite)),
    row("revoke_invitation",                ".. ..xxx .. .", Needs(RoomsWrite)),
    row("list_waiting",                     ".. ..xxx x. .", Needs(RoomsWrite)),
    row("admit_all",                        ".. ..xxx x. .", Needs(RoomsWrite)),
    row("admit",                            ".. ..xxx x. .", Needs(RoomsWrite)),
    row("deny",                             ".. ..xxx x. .", Needs(RoomsWrite)),
    row("lock_room",                        ".. ..xxx x. .", Needs(RoomsWrite)),
    row("unlock_room",                      ".. ..xxx x. .", Needs(RoomsWrite)),
    row("lower_hands",                      ".. ..xxx x. .", Needs(RoomsWrite)),
    row("lower_hand",                       ".. ..xxx x. .", Needs(RoomsWrite)),
    row("mute_participant",                 ".. ..xxx x. .", Needs(RoomsWrite)),
    row("remove_participant",               ".. ..xxx x. .", Needs(RoomsWrite)),
    row("list_removed",                     ".. ..xxx x. .", Needs(RoomsWrite)),
    row("let_back",                         ".. ..xxx x. .", Needs(RoomsWrite)).lacking(404),
    row("promote_participant",              ".. ..xxx x. .", Needs(RoomsWrite)),
    row("demote_participant",               ".. ..xxx x. .", Needs(RoomsWrite)),

    // Its recordings.
    row("list_room_recordings",             ".. .xxxx xx .", Needs(RecordingsRead)),
    row("start_room_recording",             ".. ..xxx .x .", Needs(RecordingsWrite)),
    row("pause_room_recording",             ".. ..xxx .x .", Needs(RecordingsWrite)),
    row("resume_room_recording",            ".. ..xxx .x .", Needs(RecordingsWrite)),
    row("stop_room_recording",              ".. ..xxx .x .", Needs(RecordingsWrite)),
    row("start_recording",                  ".. ..xxx .x .", Needs(RecordingsWrite)),
    row("pause_recording",                  ".. ..xxx .x .", Needs(RecordingsWrite)),
    row("resume_recording",                 ".. ..xxx .x .", Needs(RecordingsWrite)),
    row("stop_recording",                   ".. ..xxx .x .", Needs(RecordingsWrite)),
    row("order_render",                     ".. ..xxx .x .", Needs(RecordingsWrite)),
    row("cancel_render",                    ".. ..xxx .x .", Needs(RecordingsWrite)),
    row("delete_recording",                 ".. ...xx .x .", Needs(RecordingsWrite)),
    row("get_recording",                    ".. .xxxx xx .", Needs(RecordingsRead)),
    row("list_events",                      ".. .xxxx xx .", Needs(RecordingsRead)),
    row("list_participants",                ".. .xxxx xx .", Needs(RecordingsRead)),
    row("list_tracks",                      ".. .xxxx xx .", Needs(RecordingsRead)),
    row("list_segments",                    ".. .xxxx xx .", Needs(RecordingsRead)),
    row("list_files",                       ".. .xxxx xx .", Needs(RecordingsRead)),
    row("get_timeline",                     ".. .xxxx xx .", Needs(RecordingsRead)),
    row("list_renders",                     ".. .xxxx xx .", Needs(RecordingsRead)),
    row("get_render",                       ".. .xxxx xx .", Needs(RecordingsRead)),
    row("follow_render",                    ".. .xxxx xx .", Needs(RecordingsRead)),
    row("read_segment",                     ".. .xxxx xx .", Needs(RecordingsRead)),
    row("read_rendered",                    ".. .xxxx xx .", Needs(RecordingsRead)).lacking(404),
    // A link is for whoever has it, and for nothing but its recording.
    row("read_segment by link",             "xx xxxxx xx x", AnyKey),
    row("read_rendered by link",            "xx xxxxx xx x", AnyKey).lacking(404),
    row("read_segment by another's link",   "uu uuuuu uu u", NoKey(Cell::Unknown)),
    row("read_rendered by another's link",  "uu uuuuu uu u", NoKey(Cell::Unknown)),
];

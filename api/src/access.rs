//! Who may do what: one table, and nothing else decides.
//!
//! What somebody may do hangs on three things: who they are, what they want to do, and what they are to the room it is
//! done to. Recordings belong to their room.
//!
//! | operation | administrator | to the room | key with scope | `LiveKit` token |
//! |---|---|---|---|---|
//! | make a room | yes | any account | `rooms:write` | `roomCreate` |
//! | see a room, who is there now | yes | whoever it belongs to, or was in it | `rooms:read` | its room with `roomAdmin`, or `roomJoin` until one is put out; `roomList` |
//! | see whom it belongs to, its calls, what was written in them | yes | whoever it belongs to, or was in it | `rooms:read` | its room with `roomAdmin`; `roomList` |
//! | enter a room | yes | whoever it belongs to | `tokens` | – |
//! | change a room, say who it belongs to | yes | owner | `rooms:write` | – |
//! | end a room | yes | owner | `rooms:write` | – |
//! | invite | yes | owner, moderator | `rooms:write` | – |
//! | moderate: admit, mute, remove, lock | yes | owner, moderator | `rooms:write` | its room with `roomAdmin` |
//! | tokens for others | yes | – | `tokens` | – |
//! | see a recording, read its files | yes | whoever it belongs to, or was in it | `recordings:read` | `roomRecord`, its room with `roomAdmin` |
//! | start, pause, stop, render | yes | owner, moderator | `recordings:write` | `roomRecord` |
//! | delete a recording | yes | owner | `recordings:write` | `roomRecord` |
//! | administer | yes | – | `admin` | – |
//!
//! A key of the scope `admin` may do all of it. A key that belongs to somebody may do no more than they. A `LiveKit` token
//! that names a room is for that room alone. A link reads the files of its recording, and nothing else.

use std::collections::BTreeSet;

use greffier_media::ids::RecordingId;
use greffier_store::{
    UserId,
    accounts::{User, UserRole},
    meetings::RoomRole,
};

use crate::{
    auth::{LiveKitGrants, Principal},
    config::Scope,
    problem::{ApiError, ApiResult},
};

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    CreateRoom,
    /// Its title, who is in it now.
    SeeRoom,
    /// Whom it belongs to, its calls, what was written in them.
    SeeHistory,
    /// Get a token for oneself.
    EnterRoom,
    ChangeRoom,
    EndRoom,
    /// Make and see invitations.
    Invite,
    /// Admit, mute, remove, promote, lock.
    Moderate,
    /// Get a token for somebody else.
    MintToken,
    /// See a recording, its tracks, events, renders.
    SeeRecording,
    /// Read its files.
    ReadFiles,
    /// Start, pause, resume or stop one.
    Record,
    /// Have renders made, cancel them.
    Render,
    DeleteRecording,
    /// See and change what concerns the whole installation.
    Administer,
}

impl Operation {
    pub const ALL: [Self; 15] = [
        Self::CreateRoom,
        Self::SeeRoom,
        Self::SeeHistory,
        Self::EnterRoom,
        Self::ChangeRoom,
        Self::EndRoom,
        Self::Invite,
        Self::Moderate,
        Self::MintToken,
        Self::SeeRecording,
        Self::ReadFiles,
        Self::Record,
        Self::Render,
        Self::DeleteRecording,
        Self::Administer,
    ];
}

/// What a person is to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// It belongs to them, in this role.
    Belongs(RoomRole),
    /// It does not, and they were in it.
    WasThere,
    Stranger,
    /// A guest whom a moderator put out of the call that goes on.
    PutOut,
}

/// What it is to be done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// `None`: the whole installation.
    pub room: Option<&'a str>,
    /// One recording of the room.
    pub recording: Option<RecordingId>,
    /// What whoever asks is to the room.
    pub relation: Relation,
}

impl<'a> Target<'a> {
    pub const EVERYTHING: Target<'static> = Target {
        room: None,
        recording: None,
        relation: Relation::Stranger,
    };

    pub fn room(room: &'a str, relation: Relation) -> Self {
        Self {
            room: Some(room),
            recording: None,
            relation,
        }
    }

    pub fn recording(id: RecordingId, room: &'a str, relation: Relation) -> Self {
        Self {
            room: Some(room),
            recording: Some(id),
            relation,
        }
    }
}

/// Which rooms and recordings a list shows somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visible {
    All,
    OfRoom(String),
    /// Those of rooms that belong to them, or that they were in.
    OfUser(UserId),
}

impl Principal {
    /// The table.
    pub fn may(&self, operation: Operation, target: Target<'_>) -> bool {
        match self {
            Self::User { user, .. } => user_may(user, operation, target.relation),
            Self::Key { scopes, user, .. } => {
                key_may(scopes, operation)
                    && user
                        .as_ref()
                        .is_none_or(|user| user_may(user, operation, target.relation))
            }
            Self::LiveKit(grants) => livekit_may(grants, operation, target),
            Self::Link(recording) => operation == Operation::ReadFiles && target.recording == Some(*recording),
        }
    }

    /// Answers 403 to who may not.
    pub(crate) fn must(&self, operation: Operation, target: Target<'_>) -> ApiResult<()> {
        if self.may(operation, target) {
            return Ok(());
        }
        tracing::info!(caller = self.name(), ?operation, ?target, "refused");
        Err(ApiError::forbidden())
    }

    /// What of a list they are shown; `operation` is what they need for each of its items.
    pub(crate) fn visible(&self, operation: Operation) -> ApiResult<Visible> {
        let of_user = |user: &User| match user.role {
            UserRole::Admin => Visible::All,
            UserRole::Member => Visible::OfUser(user.id),
        };
        match self {
            Self::User { user, .. } => Ok(of_user(user)),
            Self::Key { scopes, user, .. } if key_may(scopes, operation) => {
                Ok(user.as_ref().map_or(Visible::All, |user| of_user(user)))
            }
            Self::LiveKit(grants) => match &grants.room {
                Some(room) if livekit_may(grants, operation, Target::room(room, Relation::Stranger)) => {
                    Ok(Visible::OfRoom(room.clone()))
                }
                None if grants.room_record && operation == Operation::SeeRecording => Ok(Visible::All),
                None if grants.room_list && matches!(operation, Operation::SeeRoom | Operation::SeeHistory) => {
                    Ok(Visible::All)
                }
                _ => Err(ApiError::forbidden()),
            },
            _ => Err(ApiError::forbidden()),
        }
    }
}

fn user_may(user: &User, operation: Operation, relation: Relation) -> bool {
    if user.role == UserRole::Admin {
        return true;
    }
    let (belongs, moderates, owns) = match relation {
        Relation::Belongs(role) => (true, role.moderates(), role == RoomRole::Owner),
        Relation::WasThere | Relation::Stranger | Relation::PutOut => (false, false, false),
    };
    match operation {
        Operation::CreateRoom => true,
        Operation::SeeRoom | Operation::SeeHistory | Operation::SeeRecording | Operation::ReadFiles => {
            belongs || relation == Relation::WasThere
        }
        Operation::EnterRoom => belongs,
        Operation::Invite | Operation::Moderate | Operation::Record | Operation::Render => moderates,
        Operation::ChangeRoom | Operation::EndRoom | Operation::DeleteRecording => owns,
        Operation::MintToken | Operation::Administer => false,
    }
}

fn key_may(scopes: &BTreeSet<Scope>, operation: Operation) -> bool {
    let needed = match operation {
        Operation::SeeRoom | Operation::SeeHistory => Scope::RoomsRead,
        Operation::CreateRoom
        | Operation::ChangeRoom
        | Operation::EndRoom
        | Operation::Invite
        | Operation::Moderate => Scope::RoomsWrite,
        Operation::EnterRoom | Operation::MintToken => Scope::Tokens,
        Operation::SeeRecording | Operation::ReadFiles => Scope::RecordingsRead,
        Operation::Record | Operation::Render | Operation::DeleteRecording => Scope::RecordingsWrite,
        Operation::Administer => Scope::Admin,
    };
    scopes.contains(&needed) || scopes.contains(&Scope::Admin)
}

fn livekit_may(grants: &LiveKitGrants, operation: Operation, target: Target<'_>) -> bool {
    let Some(room) = target.room else {
        return operation == Operation::CreateRoom && grants.room_create;
    };
    let its_room = grants.room.as_deref() == Some(room);
    let any_room = grants.room.is_none();
    // The server gives `roomRecord` for all rooms; a token that names a room besides is taken at its word.
    let records = grants.room_record && (its_room || any_room);
    let administers = grants.room_admin && its_room;
    match operation {
        Operation::CreateRoom => grants.room_create && (its_room || any_room),
        Operation::SeeRoom => {
            let is_guest = grants.room_join && its_room && target.relation != Relation::PutOut;
            administers || is_guest || (grants.room_list && any_room)
        }
        Operation::SeeHistory => administers || (grants.room_list && any_room),
        Operation::Moderate => administers,
        Operation::SeeRecording | Operation::ReadFiles => administers || records,
        Operation::Record | Operation::Render | Operation::DeleteRecording => records,
        Operation::EnterRoom
        | Operation::ChangeRoom
        | Operation::EndRoom
        | Operation::Invite
        | Operation::MintToken
        | Operation::Administer => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use greffier_media::time::Arrival;

    use super::*;

    const NONE: Relation = Relation::Stranger;
    const OUT: Relation = Relation::PutOut;
    const THERE: Relation = Relation::WasThere;
    const OWNER: Relation = Relation::Belongs(RoomRole::Owner);
    const MODERATOR: Relation = Relation::Belongs(RoomRole::Moderator);
    const SPEAKER: Relation = Relation::Belongs(RoomRole::Speaker);
    const MEMBER: Relation = Relation::Belongs(RoomRole::Member);
    const LISTENER: Relation = Relation::Belongs(RoomRole::Listener);

    fn account(role: UserRole) -> Arc<User> {
        Arc::new(User {
            id: "usr_01J8Z6J9W2T4X5Y6Z7A8B9C0D1".parse().unwrap(),
            email: None,
            name: "Ana".into(),
            role,
            language: None,
            has_password: true,
            foreign: None,
            created: Arrival::ZERO,
            seen: None,
            disabled: None,
        })
    }

    fn user(role: UserRole) -> Principal {
        Principal::User {
            user: account(role),
            session: None,
        }
    }

    fn key(scopes: &[Scope], user: Option<Arc<User>>) -> Principal {
        Principal::Key {
            name: "k".into(),
            scopes: scopes.iter().copied().collect(),
            user,
        }
    }

    fn livekit(room: Option<&str>, grants: &str) -> Principal {
        Principal::LiveKit(LiveKitGrants {
            identity: "ana".into(),
            room: room.map(str::to_owned),
            room_record: grants.contains('r'),
            room_admin: grants.contains('a'),
            room_join: grants.contains('j'),
            room_create: grants.contains('c'),
            room_list: grants.contains('l'),
        })
    }

    /// Each line: who, what they are to the room `demo`, and what of `Operation::ALL` they may do to recording 1 of it.
    ///
    /// The columns: make, see, see history, enter, change, end, invite, moderate, mint · see, read, record, render, delete · administer.
    #[test]
    fn the_table_cell_by_cell() {
        use Scope::{Admin, RecordingsRead, RecordingsWrite, RoomsRead, RoomsWrite, Tokens};
        let (this, other) = (RecordingId::from_parts(1, 1), RecordingId::from_parts(1, 2));
        let member = || Some(account(UserRole::Member));
        for (who, relation, wanted) in [
            (user(UserRole::Admin), NONE, "xxxxxxxxx xxxxx x"),
            (user(UserRole::Member), OWNER, "xxxxxxxx. xxxxx ."),
            (user(UserRole::Member), MODERATOR, "xxxx..xx. xxxx. ."),
            (user(UserRole::Member), SPEAKER, "xxxx..... xx... ."),
            (user(UserRole::Member), MEMBER, "xxxx..... xx... ."),
            (user(UserRole::Member), LISTENER, "xxxx..... xx... ."),
            (user(UserRole::Member), THERE, "xxx...... xx... ."),
            (user(UserRole::Member), NONE, "x........ ..... ."),
            (key(&[], None), NONE, "......... ..... ."),
            (key(&[RecordingsRead], None), NONE, "......... xx... ."),
            (key(&[RecordingsWrite], None), NONE, "......... ..xxx ."),
            (key(&[RoomsRead], None), NONE, ".xx...... ..... ."),
            (key(&[RoomsWrite], None), NONE, "x...xxxx. ..... ."),
            (key(&[Tokens], None), NONE, "...x....x ..... ."),
            (key(&[Admin], None), NONE, "xxxxxxxxx xxxxx x"),
            (key(&[Admin], member()), NONE, "x........ ..... ."),
            (key(&[Admin], member()), OWNER, "xxxxxxxx. xxxxx ."),
            (key(&[RoomsRead, RecordingsRead], member()), MEMBER, ".xx...... xx... ."),
            (key(&[Admin], Some(account(UserRole::Admin))), NONE, "xxxxxxxxx xxxxx x"),
            (livekit(None, "r"), NONE, "......... xxxxx ."),
            (livekit(Some("demo"), "r"), NONE, "......... xxxxx ."),
            (livekit(Some("other"), "rajcl"), NONE, "......... ..... ."),
            (livekit(Some("demo"), "a"), NONE, ".xx....x. xx... ."),
            (livekit(None, "a"), NONE, "......... ..... ."),
            (livekit(Some("demo"), "j"), NONE, ".x....... ..... ."),
            (livekit(Some("demo"), "j"), OUT, "......... ..... ."),
            (livekit(Some("demo"), "ja"), OUT, ".xx....x. xx... ."),
            (livekit(None, "j"), NONE, "......... ..... ."),
            (livekit(None, "cl"), NONE, "xxx...... ..... ."),
            (livekit(Some("demo"), ""), OWNER, "......... ..... ."),
            (Principal::Link(this), NONE, "......... .x... ."),
            (Principal::Link(other), OWNER, "......... ..... ."),
        ] {
            let mut found = String::new();
            for (column, operation) in Operation::ALL.into_iter().enumerate() {
                if column == 9 || column == 14 {
                    found.push(' ');
                }
                let target = match operation {
                    Operation::Administer => Target::EVERYTHING,
                    _ => Target::recording(this, "demo", relation),
                };
                found.push(if who.may(operation, target) { 'x' } else { '.' });
            }
            assert_eq!(found, wanted, "{who:?} {relation:?}");
        }
    }

    #[test]
    fn lists_show_what_may_be_seen() {
        let recordings = |who: Principal| who.visible(Operation::SeeRecording).ok();
        let rooms = |who: Principal| who.visible(Operation::SeeRoom).ok();
        let id = account(UserRole::Member).id;
        assert_eq!(recordings(user(UserRole::Admin)), Some(Visible::All));
        assert_eq!(recordings(user(UserRole::Member)), Some(Visible::OfUser(id)));
        assert_eq!(recordings(key(&[Scope::RecordingsRead], None)), Some(Visible::All));
        let theirs = key(&[Scope::RecordingsRead], Some(account(UserRole::Member)));
        assert_eq!(recordings(theirs.clone()), Some(Visible::OfUser(id)));
        assert_eq!(rooms(theirs), None);
        assert_eq!(recordings(key(&[Scope::RecordingsWrite], None)), None);
        assert_eq!(recordings(livekit(None, "r")), Some(Visible::All));
        assert_eq!(
            recordings(livekit(Some("demo"), "a")),
            Some(Visible::OfRoom("demo".into()))
        );
        assert_eq!(rooms(livekit(Some("demo"), "j")), Some(Visible::OfRoom("demo".into())));
        let history = |who: Principal| who.visible(Operation::SeeHistory).ok();
        assert_eq!(history(livekit(Some("demo"), "j")), None, "guests see no past calls");
        assert_eq!(
            history(livekit(Some("demo"), "a")),
            Some(Visible::OfRoom("demo".into()))
        );
        assert_eq!(rooms(livekit(None, "l")), Some(Visible::All));
        assert_eq!(recordings(livekit(None, "ajl")), None);
        assert_eq!(recordings(Principal::Link(RecordingId::from_parts(1, 1))), None);
    }
}

//! How rooms look.

use greffier_agent::view::{RecordingView, timestamp};
use greffier_store::{
    accounts::User,
    meetings::{Call, CallType, Member, Present, RecordingRule, Room, RoomOptions, RoomRole},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{meetings::presence::Presence, v1::recordings::schema::RecordingSchema};

/// What a room is for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CallType)]
pub(crate) enum CallTypeName {
    Audio,
    Video,
}

impl From<RoomRoleName> for RoomRole {
    fn from(name: RoomRoleName) -> Self {
        match name {
            RoomRoleName::Owner => Self::Owner,
            RoomRoleName::Moderator => Self::Moderator,
            RoomRoleName::Speaker => Self::Speaker,
            RoomRoleName::Member => Self::Member,
            RoomRoleName::Listener => Self::Listener,
        }
    }
}

impl From<CallTypeName> for CallType {
    fn from(name: CallTypeName) -> Self {
        match name {
            CallTypeName::Audio => Self::Audio,
            CallTypeName::Video => Self::Video,
        }
    }
}

impl From<CallType> for CallTypeName {
    fn from(call_type: CallType) -> Self {
        match call_type {
            CallType::Audio => Self::Audio,
            CallType::Video => Self::Video,
        }
    }
}

/// Whether a room is recorded: as the rules in the server's configuration say of its name, as soon as somebody is there, when a
/// moderator says so, or never.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RecordingRule)]
pub(crate) enum RecordingRuleName {
    Rules,
    Auto,
    Manual,
    Never,
}

/// Where a room stands: somebody is in it, nobody is, or it has ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RoomStateNow)]
pub(crate) enum RoomStateView {
    Idle,
    Live,
    Ended,
}

/// What somebody is to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RoomRole)]
pub(crate) enum RoomRoleName {
    Owner,
    Moderator,
    Speaker,
    Member,
    Listener,
}

impl From<RoomRole> for RoomRoleName {
    fn from(role: RoomRole) -> Self {
        match role {
            RoomRole::Owner => Self::Owner,
            RoomRole::Moderator => Self::Moderator,
            RoomRole::Speaker => Self::Speaker,
            RoomRole::Member => Self::Member,
            RoomRole::Listener => Self::Listener,
        }
    }
}

/// How a room behaves. What is left out stays, or is as the example has it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoomOptionsView {
    /// Those who come by an invitation are let in one by one.
    #[serde(default)]
    #[schema(example = false)]
    pub waiting_room: Option<bool>,
    #[serde(default)]
    #[schema(example = "rules")]
    pub recording: Option<RecordingRuleName>,
    /// At a time; without it, as many as the server takes.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100_000, example = 50)]
    pub max_participants: Option<u32>,
    /// Only owner, moderators and speakers send media.
    #[serde(default)]
    #[schema(example = false)]
    pub listeners_only: Option<bool>,
    /// Nobody but moderators comes in any more.
    #[serde(default)]
    #[schema(example = false)]
    pub locked: Option<bool>,
}

impl RoomOptionsView {
    /// What is asked for, over what there is.
    pub(crate) fn over(&self, old: &RoomOptions) -> RoomOptions {
        RoomOptions {
            waiting_room: self.waiting_room.unwrap_or(old.waiting_room),
            recording: match self.recording {
                None => old.recording,
                Some(RecordingRuleName::Auto) => RecordingRule::Auto,
                Some(RecordingRuleName::Manual) => RecordingRule::Manual,
                Some(RecordingRuleName::Never) => RecordingRule::Never,
                Some(RecordingRuleName::Rules) => RecordingRule::Rules,
            },
            max_participants: self.max_participants.or(old.max_participants),
            listeners_only: self.listeners_only.unwrap_or(old.listeners_only),
        }
    }

    fn of(room: &Room) -> Self {
        Self {
            waiting_room: Some(room.options.waiting_room),
            recording: Some(match room.options.recording {
                RecordingRule::Auto => RecordingRuleName::Auto,
                RecordingRule::Manual => RecordingRuleName::Manual,
                RecordingRule::Never => RecordingRuleName::Never,
                RecordingRule::Rules => RecordingRuleName::Rules,
            }),
            max_participants: room.options.max_participants,
            listeners_only: Some(room.options.listeners_only),
            locked: Some(room.locked),
        }
    }
}

/// Somebody, as others see them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContactView {
    pub id: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl From<&User> for ContactView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            name: user.name.clone(),
            email: user.email.clone(),
        }
    }
}

/// Whose a room is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnerView {
    id: String,
    name: String,
}

/// Somebody who is in a room now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PresentView {
    identity: String,
    name: String,
    #[schema(format = DateTime)]
    joined_at: String,
}

impl From<&Present> for PresentView {
    fn from(present: &Present) -> Self {
        Self {
            identity: present.identity.clone(),
            name: present.name.clone(),
            joined_at: timestamp(present.joined).to_string(),
        }
    }
}

/// Where it is known from who is there: the `LiveKit` server has just said so, or did not answer, and this is what it told
/// last.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PresenceSource {
    Livekit,
    LastTold,
}

/// Somebody who was in the call that goes on, or in the last one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BeforeView {
    identity: String,
    name: String,
    /// When they came first.
    #[schema(format = DateTime)]
    joined_at: String,
    /// When they went last.
    #[schema(format = DateTime)]
    left_at: String,
}

/// Somebody a room belongs to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberView {
    user: ContactView,
    role: RoomRoleName,
}

/// A call that goes on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveCallView {
    id: String,
    #[schema(format = DateTime)]
    started_at: String,
}

/// A room.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "name": "team-monday", "title": "Team on Monday", "call_type": "video",
    "owner": {"id": "usr_01J8Z6J9W2T4X5Y6Z7A8B9C0D1", "name": "Ana"}, "state": "live", "role": "owner",
    "participants_now": [
        {"identity": "usr_01J8Z6J9W2T4X5Y6Z7A8B9C0D1", "name": "Ana", "joined_at": "2026-01-31T09:00:03Z"},
    ],
    "participants_now_from": "livekit", "participants_before": [], "members": [],
    "options": {"waiting_room": false, "recording": "rules", "max_participants": null, "listeners_only": false, "locked": false},
    "created_at": "2026-01-30T16:20:00Z",
    "call": {"id": "call_01J8Z6J9W2T4X5Y6Z7A8B9C0D1", "started_at": "2026-01-31T09:00:02Z"},
}))]
pub(crate) struct RoomView {
    /// As the `LiveKit` server knows it.
    #[schema(example = "team-monday")]
    name: String,
    #[schema(example = "Team on Monday")]
    title: String,
    call_type: CallTypeName,
    /// Whose it is; a room that a machine made is nobody's, and the id is empty.
    owner: OwnerView,
    state: RoomStateView,
    /// What whoever asks is to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<RoomRoleName>,
    participants_now: Vec<PresentView>,
    /// Lists leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    participants_now_from: Option<PresenceSource>,
    /// Who was in the call that goes on, or in the last one, and is not there now. Lists leave it out; guests are not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    participants_before: Option<Vec<BeforeView>>,
    /// Whom it belongs to. Lists leave it out; guests are not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<MemberView>>,
    options: RoomOptionsView,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    scheduled_for: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_minutes: Option<u32>,
    #[schema(format = DateTime)]
    created_at: String,
    /// The recording that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RecordingSchema>)]
    recording: Option<RecordingView>,
    /// The call that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<LiveCallView>,
}

impl RoomView {
    pub(crate) fn new(room: &Room, members: Option<&[Member]>, recording: Option<RecordingView>) -> Self {
        let (id, name) = room
            .owner
            .as_ref()
            .map_or_else(Default::default, |(id, name)| (id.to_string(), name.clone()));
        let present = room.call.iter().flat_map(|call| &call.present);
        let member = |member: &Member| MemberView {
            user: ContactView::from(&member.user),
            role: member.role.into(),
        };
        Self {
            name: room.name.to_string(),
            title: room.title.clone(),
            call_type: room.call_type.into(),
            owner: OwnerView { id, name },
            state: match (room.ended, &room.call) {
                (Some(_), _) => RoomStateView::Ended,
                (None, Some(_)) => RoomStateView::Live,
                (None, None) => RoomStateView::Idle,
            },
            role: room.role.map(Into::into),
            participants_now: present.map(PresentView::from).collect(),
            participants_now_from: None,
            participants_before: None,
            members: members.map(|members| members.iter().map(member).collect()),
            options: RoomOptionsView::of(room),
            scheduled_for: room.scheduled.map(|at| timestamp(at).to_string()),
            duration_minutes: room.duration_minutes,
            created_at: timestamp(room.created).to_string(),
            recording,
            call: room.call.as_ref().map(|call| LiveCallView {
                id: call.id.to_string(),
                started_at: timestamp(call.started).to_string(),
            }),
        }
    }
}

impl RoomView {
    /// Who is there by the server itself, if it has answered.
    pub(crate) fn with_presence(mut self, presence: &Presence) -> Self {
        self.participants_now = presence.people.iter().map(PresentView::from).collect();
        self.participants_now_from = Some(if presence.is_certain {
            PresenceSource::Livekit
        } else {
            PresenceSource::LastTold
        });
        if presence.is_certain && self.state == RoomStateView::Idle && !presence.people.is_empty() {
            self.state = RoomStateView::Live;
        }
        self
    }

    /// Who was in `call` and is not there any more.
    pub(crate) fn with_history(mut self, call: Option<&Call>) -> Self {
        let is_here = |identity: &str| self.participants_now.iter().any(|one| one.identity == identity);
        let participants = call.iter().flat_map(|call| &call.participants);
        let before = participants.filter(|one| !is_here(&one.identity)).filter_map(|one| {
            let (first, last) = (one.stays.first()?, one.stays.last()?);
            Some(BeforeView {
                identity: one.identity.clone(),
                name: one.name.clone(),
                joined_at: timestamp(first.joined).to_string(),
                left_at: timestamp(last.left.unwrap_or(last.joined)).to_string(),
            })
        });
        self.participants_before = Some(before.collect());
        self
    }
}

/// What somebody needs to connect.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "status": "admitted", "token": "eyJhbGciOiJIUzI1NiJ9.…", "url": "wss://livekit.example.org",
    "identity": "usr_01J8Z6J9W2T4X5Y6Z7A8B9C0D1", "room": "team-monday",
}))]
pub(crate) struct AdmissionView {
    pub status: Admitted,
    /// For the `LiveKit` server.
    pub token: String,
    /// The `LiveKit` server.
    #[schema(example = "wss://livekit.example.org")]
    pub url: String,
    /// Who they are there.
    pub identity: String,
    pub room: String,
    /// What makes a guest the same guest the next time: to be sent with the next request to join.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Admitted {
    Admitted,
}

impl From<crate::meetings::Admission> for AdmissionView {
    fn from(admission: crate::meetings::Admission) -> Self {
        Self {
            status: Admitted::Admitted,
            token: admission.token,
            url: admission.url,
            identity: admission.identity,
            room: admission.room,
            guest: None,
        }
    }
}

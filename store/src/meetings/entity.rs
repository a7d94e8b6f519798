//! The tables of rooms and calls.

use crate::database::table;

table! { rooms = "rooms" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub name: String,
    pub title: String,
    pub call_type: String,
    pub owner_id: Option<String>,
    pub options: String,
    pub locked: bool,
    pub scheduled_ns: Option<i64>,
    pub duration_minutes: Option<i64>,
    pub search_text: String,
    pub created_ns: i64,
    pub updated_ns: i64,
    pub ended_ns: Option<i64>,
    pub locked_ns: Option<i64>,
} }

table! { room_members = "room_members" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub room_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    pub role: String,
    pub added_ns: i64,
} }

table! { room_invitations = "room_invitations" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub room_id: String,
    pub token_hash: String,
    pub guest: bool,
    pub created_by: Option<String>,
    pub created_ns: i64,
    pub expires_ns: Option<i64>,
    pub max_uses: Option<i64>,
    pub uses: i64,
    pub revoked_ns: Option<i64>,
} }

table! { waiting = "waiting" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub room_id: String,
    pub secret_hash: String,
    pub identity: String,
    pub name: String,
    pub state: String,
    pub asked_ns: i64,
    pub seen_ns: i64,
    pub decided_ns: Option<i64>,
    pub decided_by: Option<String>,
    pub invitation_id: Option<String>,
} }

table! { room_guests = "room_guests" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub room_id: String,
    pub secret_hash: String,
    pub invitation_id: String,
    pub identity: String,
    pub name: String,
    pub role: Option<String>,
    pub seen_ns: i64,
    pub admitted_ns: Option<i64>,
} }

table! { call_removals = "call_removals" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub call_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub identity: String,
    pub name: String,
    pub removed_by: String,
    pub removed_ns: i64,
} }

table! { early_events = "early_events" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub room_id: String,
    pub at_ns: i64,
    pub kind: String,
    pub data: String,
} }

table! { calls = "calls" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub sid: String,
    pub room_id: Option<String>,
    pub room_name: String,
    pub started_ns: i64,
    pub ended_ns: Option<i64>,
} }

table! { call_participants = "call_participants" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub call_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub participant_sid: String,
    pub identity: String,
    pub name: String,
    pub user_id: Option<String>,
    pub joined_ns: i64,
    pub left_ns: Option<i64>,
} }

table! { call_events = "call_events" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub call_id: String,
    pub at_ns: i64,
    pub kind: String,
    pub data: String,
} }

table! { call_quality = "call_quality" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub call_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub identity: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub direction: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    pub samples: i64,
    pub packets: i64,
    pub packets_lost: i64,
    pub jitter_samples: i64,
    pub jitter_us: i64,
    pub jitter_max_us: i64,
    pub rtt_samples: i64,
    pub rtt_us: i64,
    pub rtt_max_us: i64,
    pub bitrate_samples: i64,
    pub bitrate_bps: i64,
    pub width: i64,
    pub height: i64,
    pub updated_ns: i64,
} }

table! { chat_messages = "chat_messages" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub call_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub at_ns: i64,
    pub identity: String,
    pub name: String,
    pub body: String,
} }

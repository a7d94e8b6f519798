//! What people make, change and end.

use std::sync::Arc;

use greffier_media::{ids::RoomName, time::Arrival};
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
    sea_query::{Expr, OnConflict},
};
use serde::{Deserialize, Serialize};

use super::{
    MeetingError, Present,
    entity::{room_invitations, room_members, rooms},
    invitations, list,
};
use crate::{
    CallId, DatabaseError, RoomId, RoomInvitationId, UserId,
    accounts::{self, User, entity::users},
    database::{
        NotUnique as _,
        column::{Row, from_time, storable, to_json, to_name},
    },
    store::Inner,
};

/// How long a meeting may be planned for, in minutes: a week.
const MAX_MINUTES: u32 = 7 * 24 * 60;

/// What a room is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallType {
    Audio,
    Video,
}

/// Whether a room is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingRule {
    /// As the server's own rules say of its name; where they say nothing, when a moderator says so.
    #[default]
    Rules,
    /// As soon as somebody is there.
    Auto,
    /// When a moderator says so.
    Manual,
    Never,
}

/// What somebody is to a room. The earlier, the more they may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomRole {
    Owner,
    Moderator,
    /// Is heard even where all others listen.
    Speaker,
    Member,
    /// Hears and sees, and is never heard.
    Listener,
}

impl RoomRole {
    /// Lets people in, mutes them, records.
    pub fn moderates(self) -> bool {
        self <= Self::Moderator
    }

    /// May send media in a room where the others only listen, or do not.
    pub fn speaks(self, listeners_only: bool) -> bool {
        self <= Self::Speaker || (self == Self::Member && !listeners_only)
    }
}

/// How a room behaves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoomOptions {
    /// Guests are let in one by one.
    pub waiting_room: bool,
    pub recording: RecordingRule,
    /// At a time.
    pub max_participants: Option<u32>,
    /// Only owner, moderators and speakers send media: a webinar.
    pub listeners_only: bool,
}

/// A room to be made.
#[derive(Debug, Clone)]
pub struct NewRoom {
    pub name: RoomName,
    pub title: String,
    pub call_type: CallType,
    /// `None` if a machine makes it.
    pub owner: Option<UserId>,
    /// Besides the owner.
    pub members: Vec<(UserId, RoomRole)>,
    pub options: RoomOptions,
    pub locked: bool,
    pub scheduled: Option<Arrival>,
    pub duration_minutes: Option<u32>,
}

/// What is to change; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct RoomChange {
    pub title: Option<String>,
    pub call_type: Option<CallType>,
    pub options: Option<RoomOptions>,
    pub locked: Option<bool>,
    pub scheduled: Option<Option<Arrival>>,
    pub duration_minutes: Option<Option<u32>>,
    /// All but the owner, who stays.
    pub members: Option<Vec<(UserId, RoomRole)>>,
}

/// A room, as of when it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    pub id: RoomId,
    /// As the server knows it; nobody else has the same, ever.
    pub name: RoomName,
    pub title: String,
    pub call_type: CallType,
    pub owner: Option<(UserId, String)>,
    pub options: RoomOptions,
    /// Nobody else comes in.
    pub locked: bool,
    /// Since when nobody else does.
    pub locked_since: Option<Arrival>,
    pub scheduled: Option<Arrival>,
    pub duration_minutes: Option<u32>,
    pub created: Arrival,
    /// For good: nobody comes in any more.
    pub ended: Option<Arrival>,
    /// The call that is going on.
    pub call: Option<LiveCall>,
    /// What the person who asked is to it.
    pub role: Option<RoomRole>,
}

/// A call that is going on.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveCall {
    pub id: CallId,
    pub started: Arrival,
    /// Who is there now.
    pub present: Vec<Present>,
}

/// Somebody a room belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub user: User,
    pub role: RoomRole,
}

/// All rooms.
#[derive(Clone, Copy)]
pub struct Rooms<'a>(pub(crate) &'a Inner);

impl Rooms<'_> {
    /// Makes a room.
    pub async fn create(&self, new: &NewRoom) -> Result<Room, MeetingError> {
        let now = self.0.now();
        let title = check_title(&new.title)?;
        check_options(&new.options)?;
        check_duration(new.duration_minutes)?;
        let transaction = self.0.database.begin().await?;
        let id = RoomId::generate(now);
        let model = rooms::ActiveModel {
            id: Set(id.to_string()),
            name: Set(new.name.to_string()),
            search_text: Set(search_text(new.name.as_str(), &title)),
            title: Set(title),
            call_type: Set(to_name(&new.call_type)),
            owner_id: Set(new.owner.map(|owner| owner.to_string())),
            options: Set(to_json(&new.options)),
            locked: Set(new.locked),
            locked_ns: Set(new.locked.then_some(from_time(now))),
            scheduled_ns: Set(new.scheduled.map(from_time)),
            duration_minutes: Set(new.duration_minutes.map(i64::from)),
            created_ns: Set(from_time(now)),
            updated_ns: Set(from_time(now)),
            ended_ns: Set(None),
        };
        match rooms::Entity::insert(model).exec_without_returning(&transaction).await {
            Ok(_) => {}
            Err(error) if error.is_not_unique() => return Err(MeetingError::NameTaken(new.name.clone())),
            Err(error) => return Err(error.into()),
        }
        put_members(&transaction, id, new.owner, &new.members, now).await?;
        transaction.commit().await?;
        self.by_id(id, new.owner).await
    }

    /// A room by its name, as `viewer` sees it.
    pub async fn get(&self, name: &str, viewer: Option<UserId>) -> Result<Room, MeetingError> {
        let version = self.0.database.version(list::ROOM);
        let read = async || {
            let wanted = rooms::Entity::find().filter(rooms::Column::Name.eq(storable(name)));
            self.one(wanted, viewer, name).await.map(Arc::new)
        };
        let room = self
            .0
            .memos
            .rooms
            .or_read(version, (name.to_owned(), viewer), read)
            .await?;
        Ok(Arc::unwrap_or_clone(room))
    }

    /// The same by its id.
    pub async fn by_id(&self, id: RoomId, viewer: Option<UserId>) -> Result<Room, MeetingError> {
        let id = id.to_string();
        self.one(rooms::Entity::find_by_id(id.as_str()), viewer, &id).await
    }

    async fn one(
        &self,
        wanted: Select<rooms::Entity>,
        viewer: Option<UserId>,
        named: &str,
    ) -> Result<Room, MeetingError> {
        let mut found = list::read(self.0.database.read(), wanted, viewer).await?;
        found.pop().ok_or_else(|| MeetingError::NoRoom(named.to_owned()))
    }

    /// What somebody is to a room.
    pub async fn role(&self, room: RoomId, user: UserId) -> Result<Option<RoomRole>, MeetingError> {
        let member = room_members::Entity::find_by_id((room.to_string(), user.to_string()))
            .one(self.0.database.read())
            .await?;
        let row = |member: room_members::Model| Row::new("room_members", &member.user_id).name("role", &member.role);
        Ok(member.map(row).transpose()?)
    }

    /// Whom a room belongs to, the owner first, then by name.
    pub async fn members(&self, room: RoomId) -> Result<Vec<Member>, MeetingError> {
        let connection = self.0.database.read();
        let rows = room_members::Entity::find()
            .filter(room_members::Column::RoomId.eq(room.to_string()))
            .all(connection)
            .await?;
        let people = users::Entity::find()
            .filter(users::Column::Id.is_in(rows.iter().map(|row| row.user_id.clone())))
            .order_by_asc(users::Column::Name)
            .all(connection)
            .await?;
        let mut members = Vec::with_capacity(people.len());
        for person in people {
            let Some(row) = rows.iter().find(|row| row.user_id == person.id) else {
                continue;
            };
            let role = Row::new("room_members", &row.user_id).name("role", &row.role)?;
            members.push(Member {
                user: User::from_model(person)?,
                role,
            });
        }
        members.sort_by_key(|member| member.role);
        Ok(members)
    }

    /// Changes a room that has not ended.
    pub async fn update(&self, name: &str, change: &RoomChange, viewer: Option<UserId>) -> Result<Room, MeetingError> {
        let title = change.title.as_deref().map(check_title).transpose()?;
        if let Some(options) = &change.options {
            check_options(options)?;
        }
        check_duration(change.duration_minutes.flatten())?;
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        let old = find_open(&transaction, name).await?;
        let row = Row::new("rooms", &old.id);
        let id: RoomId = row.parse("id", &old.id)?;
        let owner = row.parse_opt("owner_id", old.owner_id.as_deref())?;
        let was_locked = old.locked;
        let mut model: rooms::ActiveModel = old.into();
        if let Some(title) = title {
            model.search_text = Set(search_text(name, &title));
            model.title = Set(title);
        }
        if let Some(call_type) = change.call_type {
            model.call_type = Set(to_name(&call_type));
        }
        if let Some(options) = &change.options {
            model.options = Set(to_json(options));
        }
        if let Some(locked) = change.locked {
            if locked != was_locked {
                model.locked_ns = Set(locked.then_some(from_time(now)));
            }
            model.locked = Set(locked);
        }
        if let Some(scheduled) = change.scheduled {
            model.scheduled_ns = Set(scheduled.map(from_time));
        }
        if let Some(minutes) = change.duration_minutes {
            model.duration_minutes = Set(minutes.map(i64::from));
        }
        model.updated_ns = Set(from_time(now));
        model.update(&transaction).await?;
        if let Some(members) = &change.members {
            room_members::Entity::delete_many()
                .filter(room_members::Column::RoomId.eq(id.to_string()))
                .exec(&transaction)
                .await?;
            put_members(&transaction, id, owner, members, now).await?;
        }
        transaction.commit().await?;
        self.by_id(id, viewer).await
    }

    /// Makes somebody something to a room that has not ended; the owner stays the owner.
    pub async fn set_role(&self, name: &str, user: UserId, role: RoomRole) -> Result<(), MeetingError> {
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        let model = find_open(&transaction, name).await?;
        let row = Row::new("rooms", &model.id);
        let owner = row.parse_opt("owner_id", model.owner_id.as_deref())?;
        put_members(&transaction, row.parse("id", &model.id)?, owner, &[(user, role)], now).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Makes somebody who came by an invitation a member: the first time, that uses the invitation once. What they are
    /// already they stay.
    pub async fn let_in(
        &self,
        room: RoomId,
        user: UserId,
        role: RoomRole,
        invitation: RoomInvitationId,
    ) -> Result<(), MeetingError> {
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        let model = room_members::ActiveModel {
            room_id: Set(room.to_string()),
            user_id: Set(user.to_string()),
            role: Set(to_name(&role.max(RoomRole::Moderator))),
            added_ns: Set(from_time(now)),
        };
        let known = OnConflict::columns([room_members::Column::RoomId, room_members::Column::UserId])
            .do_nothing()
            .to_owned();
        let added = room_members::Entity::insert(model)
            .on_conflict(known)
            .exec_without_returning(&transaction)
            .await?;
        if added > 0 {
            invitations::use_once(&transaction, room, invitation, now).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Ends a room for good: nobody comes in any more, and its invitations are void. What took place in it stays.
    pub async fn end(&self, name: &str) -> Result<(), MeetingError> {
        let now = Some(from_time(self.0.now()));
        let transaction = self.0.database.begin().await?;
        let model = find_open(&transaction, name).await?;
        room_invitations::Entity::update_many()
            .col_expr(room_invitations::Column::RevokedNs, Expr::value(now))
            .filter(room_invitations::Column::RoomId.eq(model.id.as_str()))
            .filter(room_invitations::Column::RevokedNs.is_null())
            .exec(&transaction)
            .await?;
        let mut model: rooms::ActiveModel = model.into();
        model.ended_ns = Set(now);
        model.update(&transaction).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// One that may still change, locked until the transaction ends.
pub(super) async fn find_open(connection: &impl ConnectionTrait, name: &str) -> Result<rooms::Model, MeetingError> {
    let model = rooms::Entity::find()
        .filter(rooms::Column::Name.eq(storable(name)))
        .lock_exclusive()
        .one(connection)
        .await?
        .ok_or_else(|| MeetingError::NoRoom(name.to_owned()))?;
    if model.ended_ns.is_some() {
        Err(MeetingError::RoomEnded)
    } else {
        Ok(model)
    }
}

/// Adds members, or changes what they are.
async fn put_members(
    connection: &impl ConnectionTrait,
    room: RoomId,
    owner: Option<UserId>,
    members: &[(UserId, RoomRole)],
    now: Arrival,
) -> Result<(), MeetingError> {
    let others = members.iter().copied().filter(|(user, _)| Some(*user) != owner);
    let all = owner.map(|owner| (owner, RoomRole::Owner)).into_iter().chain(others);
    for (user, role) in all {
        accounts::find_user(connection, user)
            .await
            .map_err(|error| match error {
                crate::AccountError::NotFound(id) => MeetingError::NoUser(id),
                error => error.into(),
            })?;
        // A room has one owner.
        let role = if Some(user) == owner {
            RoomRole::Owner
        } else {
            role.max(RoomRole::Moderator)
        };
        let model = room_members::ActiveModel {
            room_id: Set(room.to_string()),
            user_id: Set(user.to_string()),
            role: Set(to_name(&role)),
            added_ns: Set(from_time(now)),
        };
        let change = OnConflict::columns([room_members::Column::RoomId, room_members::Column::UserId])
            .update_column(room_members::Column::Role)
            .to_owned();
        room_members::Entity::insert(model)
            .on_conflict(change)
            .exec_without_returning(connection)
            .await?;
    }
    Ok(())
}

fn check_title(title: &str) -> Result<String, MeetingError> {
    let title = title.trim();
    if title.is_empty() || title.len() > 200 || title.contains(char::is_control) {
        return Err(MeetingError::Invalid {
            field: "title",
            rule: "1 to 200 bytes without control characters",
        });
    }
    Ok(title.to_owned())
}

fn check_options(options: &RoomOptions) -> Result<(), MeetingError> {
    match options.max_participants {
        None | Some(1..=100_000) => Ok(()),
        Some(_) => Err(MeetingError::Invalid {
            field: "options/max_participants",
            rule: "1 to 100000",
        }),
    }
}

fn check_duration(minutes: Option<u32>) -> Result<(), MeetingError> {
    match minutes {
        Some(minutes) if minutes == 0 || minutes > MAX_MINUTES => Err(MeetingError::Invalid {
            field: "duration_minutes",
            rule: "1 to 10080",
        }),
        _ => Ok(()),
    }
}

fn search_text(name: &str, title: &str) -> String {
    format!("{name}\n{title}").to_lowercase()
}

impl Room {
    pub(super) fn from_model(
        model: rooms::Model,
        owner_name: Option<String>,
        call: Option<LiveCall>,
        role: Option<RoomRole>,
    ) -> Result<Self, DatabaseError> {
        let row = Row::new("rooms", &model.id);
        let owner: Option<UserId> = row.parse_opt("owner_id", model.owner_id.as_deref())?;
        let minutes = model
            .duration_minutes
            .map(|minutes| row.small("duration_minutes", minutes));
        Ok(Self {
            id: row.parse("id", &model.id)?,
            name: row.parse("name", &model.name)?,
            call_type: row.name("call_type", &model.call_type)?,
            owner: owner.map(|owner| (owner, owner_name.unwrap_or_default())),
            options: row.json("options", &model.options)?,
            locked: model.locked,
            locked_since: row.time_opt("locked_ns", model.locked_ns)?,
            scheduled: row.time_opt("scheduled_ns", model.scheduled_ns)?,
            duration_minutes: minutes.transpose()?,
            created: row.time("created_ns", model.created_ns)?,
            ended: row.time_opt("ended_ns", model.ended_ns)?,
            title: model.title,
            call,
            role,
        })
    }
}

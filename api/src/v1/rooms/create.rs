//! `POST /api/livekit/rooms`

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use garde::Validate;
use greffier_media::ids::RoomName;
use greffier_store::{
    MeetingError, UserId,
    meetings::{NewRoom, RoomOptions, RoomRole},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    detailed,
    schema::{CallTypeName, RoomOptionsView, RoomView},
};
use crate::{
    Principal,
    access::{Operation, Target},
    extract::{Body, object},
    meetings::tell,
    problem::{ApiError, ApiResult, FieldError},
    services::App,
    v1::recordings::arrival,
};

/// A room to be made.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({
    "name": "team-monday", "title": "Team on Monday", "call_type": "video", "participants": ["bea@example.org"],
    "moderators": [], "speakers": [], "scheduled_for": "2027-01-31T09:00:00Z", "duration_minutes": 30,
    "options": {"waiting_room": true, "recording": "auto"},
}))]
pub(super) struct CreateRoom {
    /// As the `LiveKit` server will know it; made up if it is left out. No two rooms ever have the same.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024, example = "team-monday")]
    name: Option<RoomName>,
    #[schema(min_length = 1, max_length = 200, example = "Team on Monday")]
    title: String,
    call_type: CallTypeName,
    /// Ids or e-mail addresses of people with an account, besides the caller, who owns the room.
    #[serde(default)]
    #[garde(length(max = 1000))]
    #[schema(max_items = 1000, example = json!(["bea@example.org"]))]
    participants: Vec<String>,
    /// Who moderates it besides: ids or e-mail addresses. They need not stand among the participants.
    #[serde(default)]
    #[garde(length(max = 1000))]
    #[schema(max_items = 1000)]
    moderators: Vec<String>,
    /// Who is heard where the others only listen.
    #[serde(default)]
    #[garde(length(max = 1000))]
    #[schema(max_items = 1000)]
    speakers: Vec<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    scheduled_for: Option<Timestamp>,
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10_080, example = 30)]
    duration_minutes: Option<u32>,
    #[serde(default, deserialize_with = "object")]
    options: RoomOptionsView,
}

/// Make a room. The caller owns it.
#[utoipa::path(
    post, path = "/api/livekit/rooms", tag = "rooms", operation_id = "create_room",
    request_body = CreateRoom,
    params(("idempotency-key" = Option<String>, Header, description = "Repeating it answers what was answered first")),
    responses(
        (status = 201, description = "The room", body = RoomView,
            headers(("location" = String, description = "Where the room is"))),
        (status = 409, description = "There is a room of this name", body = crate::problem::Problem),
    )
)]
pub(super) async fn create(
    State(app): State<App>,
    caller: Principal,
    Body(new): Body<CreateRoom>,
) -> ApiResult<impl IntoResponse> {
    caller.must(Operation::CreateRoom, Target::EVERYTHING)?;
    let owner = caller.user_id();
    let mut members = with_role(people(&app, "participants", &new.participants).await?, RoomRole::Member);
    // Whoever is named twice is the more of both: those named later count.
    members.extend(with_role(
        people(&app, "speakers", &new.speakers).await?,
        RoomRole::Speaker,
    ));
    members.extend(with_role(
        people(&app, "moderators", &new.moderators).await?,
        RoomRole::Moderator,
    ));
    let new = NewRoom {
        name: match new.name {
            Some(name) => name,
            None => made_up()?,
        },
        title: new.title,
        call_type: new.call_type.into(),
        owner,
        members,
        locked: new.options.locked.unwrap_or(false),
        options: new.options.over(&RoomOptions {
            waiting_room: app.setting("waiting_room").await? == Some(Value::Bool(true)),
            ..RoomOptions::default()
        }),
        scheduled: new.scheduled_for.map(arrival),
        duration_minutes: new.duration_minutes,
    };
    let room = app.store().rooms().create(&new).await?;
    tell::invited(&app, &room, owner).await;
    let location = [(
        header::LOCATION,
        format!("/api/livekit/rooms/{}", percent(room.name.as_str())),
    )];
    Ok((
        StatusCode::CREATED,
        location,
        Json(detailed(&app, &caller, &room).await?),
    ))
}

pub(super) fn with_role(people: Vec<UserId>, role: RoomRole) -> Vec<(UserId, RoomRole)> {
    people.into_iter().map(|user| (user, role)).collect()
}

/// People named by id or e-mail address; each that is unknown is pointed at, in `field`.
pub(super) async fn people(app: &App, field: &str, named: &[String]) -> ApiResult<Vec<UserId>> {
    let (mut found, mut unknown) = (Vec::with_capacity(named.len()), Vec::new());
    for (index, name) in named.iter().enumerate() {
        let user = match name.parse::<UserId>() {
            Ok(id) => app.store().users().get(id).await.ok().map(|user| user.id),
            Err(_) => app.store().users().by_email(name).await?.map(|user| user.id),
        };
        match user {
            Some(user) => found.push(user),
            None => unknown.push(FieldError {
                pointer: format!("/{field}/{index}"),
                detail: "must be the id or e-mail address of somebody with an account".to_owned(),
            }),
        }
    }
    if unknown.is_empty() {
        Ok(found)
    } else {
        Err(ApiError::invalid(unknown))
    }
}

/// Three groups that can be read out: 55 bits nobody guesses.
fn made_up() -> ApiResult<RoomName> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let mut random: u64 = rand::random();
    let mut name = String::with_capacity(13);
    for place in 0..11 {
        if place == 3 || place == 7 {
            name.push('-');
        }
        name.push(char::from(LETTERS[usize::try_from(random & 31).unwrap_or_default()]));
        random >>= 5;
    }
    RoomName::new(&name).map_err(|error| {
        tracing::error!(%error, "a room's name cannot be made up");
        MeetingError::NoRoom(name).into()
    })
}

fn percent(name: &str) -> percent_encoding::PercentEncode<'_> {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_up() {
        let (one, other) = (made_up().unwrap(), made_up().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.as_str().split('-').map(str::len).collect::<Vec<_>>(), [3, 4, 4]);
    }
}

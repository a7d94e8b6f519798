//! News for people: kept for when they come, and said at once to those who listen.

use greffier_store::{
    UserId,
    meetings::{Room, Waiting},
};
use serde_json::{Value, json};

use crate::{bus::Audience, services::App};

/// Tells people something. That it cannot be kept is in the log; what it is about has happened.
pub(crate) async fn people(app: &App, users: &[UserId], kind: &str, data: &Value) {
    match app.store().notices().tell(users, kind, data).await {
        Ok(told) => {
            for notification in told {
                let mut data = data.clone();
                data["id"] = json!(notification.id);
                data["kind"] = json!(kind);
                app.bus
                    .tell(Audience::Users(vec![notification.user]), "notification", data);
            }
        }
        Err(error) => tracing::error!(%error, kind, "people could not be told"),
    }
}

/// Somebody asks to come in: moderators are told.
pub(crate) async fn somebody_waits(app: &App, room: &Room, waiting: &Waiting) {
    let moderators = members(app, room, true).await;
    let data = json!({ "room": room.name, "title": room.title, "by": waiting.name });
    app.bus.tell(
        Audience::Users(moderators.clone()),
        "waiting",
        json!({ "room": room.name }),
    );
    people(app, &moderators, "waiting", &data).await;
}

/// Who waits before a room's door is another than before: those who may let people in look again.
pub(crate) fn waiting_changed(app: &App, room: &str) {
    app.bus
        .tell(Audience::Room(room.to_owned()), "waiting", json!({ "room": room }));
}

/// A room is another than before: pages that show it look again.
pub(crate) fn room_changed(app: &App, room: &str) {
    app.bus
        .tell(Audience::Room(room.to_owned()), "room.changed", json!({ "room": room }));
}

/// People were made members of a room.
pub(crate) async fn invited(app: &App, room: &Room, by: Option<UserId>) {
    let who: Vec<_> = members(app, room, false)
        .await
        .into_iter()
        .filter(|user| Some(*user) != by)
        .collect();
    let by = room.owner.as_ref().map_or("", |(_, name)| name.as_str());
    people(
        app,
        &who,
        "invited",
        &json!({ "room": room.name, "title": room.title, "by": by }),
    )
    .await;
}

/// A meeting began: those who are not in it yet are told.
pub(crate) async fn room_began(app: &App, room: &Room) {
    let present: Vec<UserId> = room
        .call
        .iter()
        .flat_map(|call| &call.present)
        .filter_map(|present| present.user)
        .collect();
    let absent: Vec<_> = members(app, room, false)
        .await
        .into_iter()
        .filter(|user| !present.contains(user))
        .collect();
    people(
        app,
        &absent,
        "room_live",
        &json!({ "room": room.name, "title": room.title }),
    )
    .await;
}

async fn members(app: &App, room: &Room, moderators: bool) -> Vec<UserId> {
    match app.store().rooms().members(room.id).await {
        Ok(members) => members
            .into_iter()
            .filter(|member| !moderators || member.role.moderates())
            .map(|member| member.user.id)
            .collect(),
        Err(error) => {
            tracing::error!(%error, room = %room.name, "who is to be told cannot be read");
            Vec::new()
        }
    }
}

//! The first version of the API: one folder for each resource, one file for each verb.

pub(crate) mod accounts;
mod admin;
mod calendar;
mod calls;
mod config;
mod contacts;
mod events;
mod files;
mod invitations;
mod keys;
mod loadtests;
mod moderation;
mod notifications;
mod push;
mod recordings;
mod renders;
pub(crate) mod rooms;
mod server;
mod users;
mod webhooks;

use utoipa_axum::router::OpenApiRouter;

use crate::services::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(recordings::routes())
        .merge(renders::routes())
        .merge(files::routes())
        .merge(accounts::routes())
        .merge(users::routes())
        .merge(keys::routes())
        .merge(rooms::routes())
        .merge(invitations::routes())
        .merge(moderation::routes())
        .merge(calls::routes())
        .merge(contacts::routes())
        .merge(notifications::routes())
        .merge(push::routes())
        .merge(events::routes())
        .merge(calendar::routes())
        .merge(config::routes())
        .merge(admin::routes())
        .merge(loadtests::routes())
        .merge(webhooks::routes())
        .merge(server::routes())
}

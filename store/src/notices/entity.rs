//! The tables of what people are told.

use crate::database::table;

table! { notifications = "notifications" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub user_id: String,
    pub kind: String,
    pub data: String,
    pub created_ns: i64,
    pub read_ns: Option<i64>,
} }

table! { push_subscriptions = "push_subscriptions" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub endpoint: String,
    pub user_id: String,
    pub p256dh: String,
    pub auth: String,
    pub created_ns: i64,
} }

table! { calendar_keys = "calendar_keys" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    pub key_hash: String,
    pub created_ns: i64,
} }

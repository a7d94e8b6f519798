//! The tables of people, their log-ins and keys.

use crate::database::table;

table! { users = "users" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub email: Option<String>,
    pub name: String,
    pub role: String,
    pub language: Option<String>,
    pub password_hash: Option<String>,
    pub foreign_issuer: Option<String>,
    pub foreign_subject: Option<String>,
    pub search_text: String,
    pub created_ns: i64,
    pub seen_ns: Option<i64>,
    pub disabled_ns: Option<i64>,
    pub deleted_ns: Option<i64>,
} }

table! { sessions = "sessions" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub user_id: String,
    pub user_agent: String,
    pub address: String,
    pub created_ns: i64,
    pub used_ns: i64,
    pub expires_ns: i64,
    pub ended_ns: Option<i64>,
} }

table! { refresh_tokens = "refresh_tokens" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_hash: String,
    pub session_id: String,
    pub created_ns: i64,
    pub replaced_ns: Option<i64>,
} }

table! { setup_token = "setup_token" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_hash: String,
    pub created_ns: i64,
} }

table! { user_invitations = "user_invitations" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub token_hash: String,
    pub email: Option<String>,
    pub name: Option<String>,
    pub role: String,
    pub created_by: String,
    pub created_ns: i64,
    pub expires_ns: i64,
    pub accepted_ns: Option<i64>,
    pub accepted_by: Option<String>,
} }

table! { api_keys = "api_keys" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub secret_hash: String,
    pub name: String,
    pub scopes: String,
    pub user_id: Option<String>,
    pub created_ns: i64,
    pub expires_ns: Option<i64>,
    pub used_ns: Option<i64>,
    pub revoked_ns: Option<i64>,
} }

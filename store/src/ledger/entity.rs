//! The audit log, and what requests that are repeated were answered.

use crate::database::table;

table! { audit = "audit" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub at_ns: i64,
    pub actor: String,
    pub action: String,
    pub target: Option<String>,
    pub address: Option<String>,
    pub outcome: String,
    pub data: String,
} }

table! { idempotency_keys = "idempotency_keys" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub owner: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub idempotency_key: String,
    pub request_hash: String,
    pub status: Option<i64>,
    pub body: Option<String>,
    pub created_ns: i64,
} }
